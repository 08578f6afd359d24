"""operations.json: single operations on one state of each kind, every check of the specification and of section 11 once."""

from .. import faults
from ..common import DepositTree, H, le
from ..keys import INFINITY
from ..operations import Maker
from .base import GWEI, SOURCE, Base, judged

PROCESS = {
    "attestation": "process_attestation",
    "proposer_slashing": "process_proposer_slashing",
    "attester_slashing": "process_attester_slashing",
    "deposit": "process_deposit",
    "voluntary_exit": "process_voluntary_exit",
    "bls_to_execution_change": "process_bls_to_execution_change",
}


class Cases:
    """Cases on one base state."""

    def __init__(self, kind: str, seed: int):
        self.kind = kind
        self.base = Base(kind, seed, 24, 5)
        self.spec, self.state, self.rng, self.keys = self.base.spec, self.base.state, self.base.rng, self.base.keys
        self.tree = DepositTree()
        self.make = Maker(self.spec, self.rng, self.keys, self.tree)
        self.cases = []

    def add(self, name: str, operation: str, value, *, good: bool):
        """One case; the specification must say of it what its author expects."""
        result = judged(self.state, lambda state: getattr(self.spec, PROCESS[operation])(state, value))
        assert good == ("root" in result), f"{name}: {result}"
        self.cases.append({"name": name, "operation": operation, "ssz": bytes(value.encode_bytes()), **result})

    def sign(self, indices, value, domain_type, epoch):
        """Signature of validators in a domain of the state."""
        domain = self.spec.get_domain(self.state, domain_type, self.spec.Epoch(epoch))
        publics = [self.state.validators[i].pubkey for i in indices]
        return self.keys.sign(publics, self.spec.compute_signing_root(value, domain))

    def document(self) -> dict:
        """The group."""
        return {"kind": self.kind, "state": bytes(self.state.encode_bytes()), "cases": self.cases}


def attestations(c: Cases):
    """process_attestation."""
    spec, state = c.spec, c.state
    now, epoch = int(state.slot), int(spec.get_current_epoch(state))
    first = epoch * int(spec.SLOTS_PER_EPOCH)

    def root(slot):
        return spec.get_block_root_at_slot(state, spec.Slot(slot))

    def vote(slot, target=None, head=None, share=1.0):
        start = slot - slot % int(spec.SLOTS_PER_EPOCH)
        return c.make.attestation(state, spec.Slot(slot), 0, head or root(slot), target or root(start), share)

    def again(attestation, **changes):
        for name, value in changes.items():
            setattr(attestation.data, name, value)
        committee = spec.get_beacon_committee(state, spec.Slot(first), spec.CommitteeIndex(0))
        voters = [m for m, bit in zip(committee, attestation.aggregation_bits) if bit]
        attestation.signature = c.sign(voters, attestation.data, spec.DOMAIN_BEACON_ATTESTER, attestation.data.target.epoch)
        return attestation

    def add(name, attestation, good):
        c.add(f"attestation/{name}", "attestation", attestation, good=good)

    for delay in range(1, now - first + 1):
        add(f"delay_{delay}", vote(now - delay), True)
    for slot in (first - 8, first - 1):
        add(f"previous_epoch_slot_{slot - first}", vote(slot), True)
    add("wrong_head", vote(now - 1, head=spec.Root(bytes([1] * 32))), True)
    add("wrong_target_and_head", vote(now - 1, target=spec.Root(bytes([2] * 32))), True)
    add("one_voter_less", vote(now - 1, share=0.7), True)
    current, other = state.current_justified_checkpoint, spec.Checkpoint(epoch=1, root=bytes([3] * 32))
    add("wrong_source_root", again(vote(first), source=spec.Checkpoint(epoch=current.epoch, root=other.root)), False)
    add("wrong_source_epoch", again(vote(first), source=spec.Checkpoint(epoch=current.epoch + 1, root=current.root)), False)
    late = vote(first)
    late.data.target.epoch += 1
    add("target_of_next_epoch", again(late), False)
    early = vote(first)
    early.data.target.epoch -= 1
    add("target_of_another_epoch_than_the_slot", again(early), False)
    old = vote(first)
    old.data.slot, old.data.target.epoch = first - 9, epoch - 2
    add("two_epochs_old", again(old), False)
    huge = vote(first)
    huge.data.slot, huge.data.target.epoch = 2**64 - 1, (2**64 - 1) // 8
    add("slot_at_the_end_of_time", again(huge), False)
    add("same_slot", again(vote(first), slot=now), False)
    add("committee_that_does_not_exist", again(vote(first), index=1), False)
    for name, change in (("one_bit_more", lambda bits: [*bits, False]), ("one_bit_less", lambda bits: bits[:-1])):
        attestation = vote(first)
        attestation.aggregation_bits = change(list(attestation.aggregation_bits))
        add(name, attestation, False)
    add("nobody", vote(first, share=0.0), False)
    for name, signature in (("signature_of_nobody", INFINITY), ("no_signature", bytes(96))):
        attestation = vote(first)
        attestation.signature = signature
        add(name, attestation, False)
    attestation = vote(first)
    attestation.signature = c.sign([20], attestation.data, spec.DOMAIN_BEACON_ATTESTER, epoch)
    add("signature_of_another", attestation, False)


def slashings(c: Cases):
    """process_proposer_slashing and process_attester_slashing."""
    spec, state, base = c.spec, c.state, c.base
    slot = int(state.slot)

    def pair(one, two, signers=None):
        headers = [one, two]
        signed = []
        for i, header in enumerate(headers):
            signer = (signers or [header.proposer_index] * 2)[i]
            epoch = spec.compute_epoch_at_slot(header.slot)
            signature = c.sign([signer], header, spec.DOMAIN_BEACON_PROPOSER, epoch)
            signed.append(spec.SignedBeaconBlockHeader(message=header, signature=signature))
        return spec.ProposerSlashing(signed_header_1=signed[0], signed_header_2=signed[1])

    def add(name, slashing, good):
        c.add(f"proposer_slashing/{name}", "proposer_slashing", slashing, good=good)

    def header(who, at=slot):
        return c.make.header(spec.ValidatorIndex(who), spec.Slot(at))

    for name, at in (("now", slot), ("slot_0", 0), ("slot_to_come", slot + 1000), ("slot_at_the_end_of_time", 2**64 - 1)):
        add(name, pair(header(13, at), header(13, at)), True)
    same = header(13)
    add("same_header", pair(same, same), False)
    add("two_slots", pair(header(13), header(13, slot - 1)), False)
    add("two_proposers", pair(header(13), header(14)), False)
    add("first_signature", pair(header(13), header(13), [14, 13]), False)
    add("second_signature", pair(header(13), header(13), [13, 14]), False)
    for name, who, good in (
        ("slashed_already", base.SLASHED, False),
        ("withdrawable", base.WITHDRAWABLE, False),
        ("not_yet_active", base.PENDING, False),
        ("leaving", base.EXITING, True),
        ("young", base.YOUNG, True),
    ):
        add(name, pair(header(who), header(who)), good)
    unknown = pair(header(13), header(13))
    unknown.signed_header_1.message.proposer_index = unknown.signed_header_2.message.proposer_index = 24
    add("unknown_proposer", unknown, False)

    def vote(indices, source, target, salt, signers=None):
        indexed = c.make.indexed(state, indices if signers is None else [], source, target, bytes([salt] * 32))
        if signers is not None:
            indexed.attesting_indices = indices
            indexed.signature = c.sign(signers, indexed.data, spec.DOMAIN_BEACON_ATTESTER, target)
        return indexed

    def against(name, one, two, good):
        value = spec.AttesterSlashing(attestation_1=one, attestation_2=two)
        c.add(f"attester_slashing/{name}", "attester_slashing", value, good=good)

    against("double_vote", vote([12, 13, 15], 3, 9, 1), vote([13, 15, 16], 3, 9, 2), True)
    against("first_surrounds_second", vote([13], 2, 9, 1), vote([13], 3, 8, 2), True)
    against("second_surrounds_first", vote([13], 3, 8, 1), vote([13], 2, 9, 2), False)
    against("same_source_wider_target", vote([13], 3, 9, 1), vote([13], 3, 8, 2), False)
    against("the_same_vote", vote([13], 3, 9, 1), vote([13], 3, 9, 1), False)
    against("nobody_in_both", vote([13], 3, 9, 1), vote([14], 3, 9, 2), False)
    against("one_of_two_slashable", vote([base.SLASHED, 13], 3, 9, 1), vote([base.SLASHED, 13], 3, 9, 2), True)
    against("nobody_slashable", vote([base.SLASHED], 3, 9, 1), vote([base.SLASHED], 3, 9, 2), False)
    good = vote([13], 3, 9, 2)
    against("not_ascending", vote([14, 13], 3, 9, 1, [13, 14]), good, False)
    against("twice_the_same_voter", vote([13, 13], 3, 9, 1, [13, 13]), good, False)
    against("nobody", vote([], 3, 9, 1, []), good, False)
    against("unknown_voter", vote([13, 24], 3, 9, 1, [13]), good, False)
    against("wrong_signature", vote([13], 3, 9, 1, [14]), good, False)
    against("wrong_second_signature", good, vote([13], 3, 9, 1, [14]), False)


def registry(c: Cases):
    """process_deposit, process_voluntary_exit and process_bls_to_execution_change."""
    spec, state, base = c.spec, c.state, c.base

    def exit_of(name, who, good, epoch=None, signer=None, fork=None):
        message = spec.VoluntaryExit(epoch=spec.get_current_epoch(state) if epoch is None else epoch, validator_index=who)
        version = fork or spec.config.CAPELLA_FORK_VERSION
        domain = spec.compute_domain(spec.DOMAIN_VOLUNTARY_EXIT, version, state.genesis_validators_root)
        public = state.validators[min(who if signer is None else signer, 23)].pubkey
        signature = c.keys.sign([public], spec.compute_signing_root(message, domain))
        value = spec.SignedVoluntaryExit(message=message, signature=signature)
        c.add(f"exit/{name}", "voluntary_exit", value, good=good)

    exit_of("now", 13, True)
    exit_of("of_an_epoch_past", 13, True, epoch=0)
    exit_of("of_an_epoch_to_come", 13, False, epoch=10)
    exit_of("slashed", base.SLASHED, False)
    exit_of("not_active", base.PENDING, False)
    exit_of("leaving", base.EXITING, False)
    exit_of("left", base.WITHDRAWABLE, False)
    exit_of("too_young", base.YOUNG, False)
    exit_of("unknown", 24, False)
    exit_of("signed_by_another", 13, False, signer=14)
    exit_of("signed_in_deneb", 13, False, fork=spec.config.DENEB_FORK_VERSION)

    def change_of(name, who, good, key_of=None, signer=None, fork=None):
        public = state.validators[who if key_of is None else key_of].pubkey if who < 24 else bytes(48)
        message = spec.BLSToExecutionChange(validator_index=who, from_bls_pubkey=public, to_execution_address=bytes([5] * 20))
        root = state.genesis_validators_root
        domain = spec.compute_domain(spec.DOMAIN_BLS_TO_EXECUTION_CHANGE, fork, root)
        signature = c.keys.sign([state.validators[signer or base.BLS].pubkey], spec.compute_signing_root(message, domain))
        value = spec.SignedBLSToExecutionChange(message=message, signature=signature)
        c.add(f"bls_change/{name}", "bls_to_execution_change", value, good=good)

    change_of("good", base.BLS, True)
    change_of("account_already", base.ACCOUNT, False, signer=base.ACCOUNT)
    change_of("another_key", base.BLS, False, key_of=13, signer=13)
    change_of("signed_by_another", base.BLS, False, signer=13)
    change_of("signed_in_deneb", base.BLS, False, fork=spec.config.DENEB_FORK_VERSION)
    change_of("unknown", 24, False)


def deposits(c: Cases):
    """process_deposit: each case is the first deposit of its own tree of three, so its root must be the state's."""
    spec, state = c.spec, c.state
    message_domain = spec.compute_domain(spec.DOMAIN_DEPOSIT)

    def data(public, amount, signer=None, **changes):
        message = spec.DepositMessage(pubkey=public, withdrawal_credentials=b"\x01" + bytes(31), amount=amount)
        signature = c.keys.sign([signer or public], spec.compute_signing_root(message, message_domain))
        fields = {name: getattr(message, name) for name in message.fields()}
        return spec.DepositData(**{**fields, "signature": signature, **changes})

    fresh = c.keys.new("vectors", "fresh")
    leaves = {
        "new": data(fresh, 32 * GWEI),
        "new_with_rest": data(fresh, 33 * GWEI + 999_999_999),
        "new_with_little": data(fresh, GWEI + 1),
        "new_with_nothing": data(fresh, 0),
        "no_possession": data(fresh, 32 * GWEI, signer=state.validators[13].pubkey),
        "signature_is_infinity": data(fresh, 32 * GWEI, signature=INFINITY),
        "no_key": data(state.validators[13].pubkey, 32 * GWEI, pubkey=bytes([0xFF] * 48)),
        "key_is_infinity": data(state.validators[13].pubkey, 32 * GWEI, pubkey=b"\xc0" + bytes(47)),
        "top_up": data(state.validators[13].pubkey, GWEI),
        "top_up_without_signature": data(state.validators[13].pubkey, GWEI, signature=bytes(96)),
        "top_up_beyond_uint64": data(state.validators[13].pubkey, 2**64 - 1),
    }
    c.tree.data = list(leaves.values())
    count = len(c.tree.data)
    state.eth1_data = spec.Eth1Data(deposit_root=c.tree.root(count), deposit_count=count, block_hash=bytes(32))
    for index, (name, leaf) in enumerate(leaves.items()):
        state.eth1_deposit_index = index
        deposit = spec.Deposit(proof=c.tree.proof(index, count), data=leaf)
        c.add(f"deposit/{name}", "deposit", deposit, good=name != "top_up_beyond_uint64")
        c.cases[-1]["deposit_index"] = index
        if index == 0:
            for place in (0, 31, 32):
                bad = deposit.copy()
                bad.proof[place] = bytes([1] * 32)
                c.add(f"deposit/wrong_sibling_{place}", "deposit", bad, good=False)
                c.cases[-1]["deposit_index"] = index
    state.eth1_deposit_index = 0


def fault_proofs(c: Cases):
    """Section 11: fault proofs and malfeasance evidence."""
    spec, state = c.spec, c.state
    now = int(state.slot)
    seats = faults.committee(spec, state, spec.get_current_epoch(state))
    canonical = spec.BeaconBlockHeader(slot=now - 1, proposer_index=13)
    state.block_roots[(now - 1) % int(spec.SLOTS_PER_HISTORICAL_ROOT)] = canonical.hash_tree_root()

    def proof(accused=13, age=1, count=None, bits=None, n=None, tail=(1, 1, 0, 0), tag=faults.FAULT_TAG, real=None, **o):
        slot = spec.Slot(now - age)
        members = faults.committee(spec, state, spec.compute_epoch_at_slot(slot)) if age >= 0 else seats
        real = real or c.make.header(spec.ValidatorIndex(accused), slot)
        others = [i for i, member in enumerate(members) if member != accused]
        voted = others[: faults.fault_quorum(len(others)) if count is None else count]
        mask = sum(1 << i for i in (voted if bits is None else bits)).to_bytes(64, "little")
        second = spec.BeaconBlockHeader(
            slot=o.get("slot_2", real.slot),
            proposer_index=o.get("proposer_2", real.proposer_index),
            parent_root=tag + bytes(tail) + le(len(members) if n is None else n, 4),
            state_root=mask[:32],
            body_root=mask[32:],
        )
        vote_root = spec.compute_signing_root(
            faults.fault_vote(spec, o.get("voted", real)),
            faults.ai_domain(spec, state, o.get("domain", faults.DOMAIN_AI_FAULT)),
        )
        votes = c.keys.sign([state.validators[members[i]].pubkey for i in o.get("signers", voted)], vote_root)
        epoch = spec.compute_epoch_at_slot(real.slot)
        signature = c.sign([o.get("signer", accused)], real, spec.DOMAIN_BEACON_PROPOSER, epoch)
        return spec.ProposerSlashing(
            signed_header_1=spec.SignedBeaconBlockHeader(message=real, signature=signature),
            signed_header_2=spec.SignedBeaconBlockHeader(message=second, signature=votes),
        )

    def add(name, value, good):
        c.add(f"fault/{name}", "proposer_slashing", value, good=good)

    quorum = faults.fault_quorum(len(seats) - 1)
    add("good", proof(), True)
    add("everybody_votes", proof(count=len(seats) - 1), True)
    add("one_vote_less", proof(count=quorum - 1), False)
    add("oldest", proof(age=64), True)
    add("too_old", proof(age=65), False)
    add("too_early", proof(age=0), False)
    add("accused_without_seat", proof(accused=c.base.LEFT), True)
    add("accused_without_seat_one_vote_less", proof(accused=c.base.LEFT, count=faults.fault_quorum(len(seats)) - 1), False)
    add("accused_withdrawable", proof(accused=c.base.WITHDRAWABLE), False)
    add("accused_pending", proof(accused=c.base.PENDING), False)
    add("accused_slashed", proof(accused=c.base.SLASHED), False)
    add("accused_votes", proof(bits=list(range(quorum)) + [seats.index(13)]), False)
    add("n_less", proof(n=len(seats) - 1), False)
    add("n_more", proof(n=len(seats) + 1), False)
    add("n_0", proof(n=0), False)
    add("bit_beyond_n", proof(bits=[*range(quorum), 511]), False)
    for name, tail in (("version", (2, 1, 0, 0)), ("reason", (1, 2, 0, 0)), ("reserved", (1, 1, 1, 0))):
        add(name, proof(tail=tail), False)
    add("other_slot", proof(slot_2=now - 2), False)
    add("other_proposer", proof(proposer_2=14), False)
    add("signed_by_another", proof(signer=14), False)
    add("vote_missing", proof(signers=range(3)), False)
    add("votes_for_another_block", proof(voted=c.make.header(spec.ValidatorIndex(13), spec.Slot(now - 1))), False)
    add("votes_as_acks", proof(domain=faults.DOMAIN_AI_ACK), False)
    add("canonical_block", proof(real=canonical), False)
    swapped = proof()
    swapped.signed_header_1, swapped.signed_header_2 = swapped.signed_header_2.copy(), swapped.signed_header_1.copy()
    add("tag_in_header_1", swapped, False)
    tagged = proof().signed_header_2
    add("tag_in_both", spec.ProposerSlashing(signed_header_1=tagged, signed_header_2=tagged), False)

    def evidence(member=13, roots=(1, 2), slot=0, member_2=None, bodies=(7, 7), signer=None, tag=faults.EQUIVOCATION_TAG):
        domain = faults.ai_domain(spec, state, faults.DOMAIN_AI_ACK)
        signed = []
        for i in range(2):
            body, root = bytes([bodies[i]] * 32), bytes([roots[i]] * 32)
            who = member if i == 0 or member_2 is None else member_2
            header = spec.BeaconBlockHeader(
                slot=slot, proposer_index=who, parent_root=tag if i else faults.EQUIVOCATION_TAG, state_root=root, body_root=body
            )
            public = state.validators[who if signer is None else signer].pubkey
            signature = c.keys.sign([public], H(H(body, H(root, bytes(32))), bytes(domain)))
            signed.append(spec.SignedBeaconBlockHeader(message=header, signature=signature))
        return spec.ProposerSlashing(signed_header_1=signed[0], signed_header_2=signed[1])

    def equivocation(name, value, good):
        c.add(f"malfeasance/{name}", "proposer_slashing", value, good=good)

    equivocation("good", evidence(), True)
    equivocation("young", evidence(member=c.base.YOUNG), True)
    equivocation("leaving", evidence(member=c.base.EXITING), True)
    equivocation("slashed", evidence(member=c.base.SLASHED), False)
    equivocation("withdrawable", evidence(member=c.base.WITHDRAWABLE), False)
    equivocation("same_root", evidence(roots=(1, 1)), False)
    equivocation("two_messages", evidence(bodies=(7, 8)), False)
    equivocation("two_members", evidence(member_2=14), False)
    equivocation("slot_1", evidence(slot=1), False)
    equivocation("signed_by_another", evidence(signer=14), False)
    equivocation("one_tag", evidence(tag=bytes(32)), False)


def generate() -> dict:
    """operations.json."""
    official, chain = Cases("official", 61), Cases("chain", 62)
    deposits(official)
    attestations(official)
    slashings(official)
    registry(official)
    fault_proofs(chain)
    slashings(chain)
    about = "Operations on a group's `state` (its eth1_deposit_index replaced where a case says so): root after it, or an error."
    groups = []
    for cases in (official, chain):
        groups.append({"name": cases.kind, **cases.document()})
    return {"operations.json": {"about": about, "source": SOURCE + "; docs/PROTOCOL.md 11", "groups": groups}}
