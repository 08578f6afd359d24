"""Makes operations with real signatures. Whether a state takes them is the specification's to say: some never fit."""

from . import faults
from .common import H, le
from .keys import INFINITY, Keys

GWEI = 10**9


class Maker:
    """Operations of every kind for the validators of one chain."""

    def __init__(self, spec, rng, keys: Keys, tree):
        self.spec, self.rng, self.keys, self.tree = spec, rng, keys, tree
        self.joined = 0

    def _sign(self, state, indices, value, domain):
        publics = [state.validators[i].pubkey for i in indices]
        return self.keys.sign(publics, self.spec.compute_signing_root(value, domain))

    def pick(self, state) -> int:
        """Any validator."""
        return self.spec.ValidatorIndex(self.rng.randrange(len(state.validators)))

    def attestation(self, state, slot, index, head, target_root, share: float):
        """Of a committee's members, each with probability `share`; `state` stands at `slot` or later in its epoch."""
        spec = self.spec
        committee = spec.get_beacon_committee(state, slot, spec.CommitteeIndex(index))
        epoch = spec.compute_epoch_at_slot(slot)
        current = epoch == spec.get_current_epoch(state)
        source = state.current_justified_checkpoint if current else state.previous_justified_checkpoint
        data = spec.AttestationData(
            slot=slot,
            index=index,
            beacon_block_root=head,
            source=source,
            target=spec.Checkpoint(epoch=epoch, root=target_root),
        )
        bits = [self.rng.random() < share for _ in committee]
        voters = [member for member, bit in zip(committee, bits) if bit]
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_ATTESTER, epoch)
        signature = self._sign(state, voters, data, domain)
        return spec.Attestation(aggregation_bits=bits, data=data, signature=signature)

    def indexed(self, state, indices, source: int, target: int, salt: bytes):
        """A vote of these validators from epoch to epoch."""
        spec = self.spec
        data = spec.AttestationData(
            slot=spec.compute_start_slot_at_epoch(spec.Epoch(target)),
            beacon_block_root=salt,
            source=spec.Checkpoint(epoch=source),
            target=spec.Checkpoint(epoch=target),
        )
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_ATTESTER, spec.Epoch(target))
        signature = self._sign(state, indices, data, domain)
        return spec.IndexedAttestation(attesting_indices=indices, data=data, signature=signature)

    def attester_slashing(self, state):
        """A double vote, a surround vote, or (seldom) neither."""
        rng, count = self.rng, len(state.validators)
        epoch = int(self.spec.get_current_epoch(state)) + 3
        sets = [sorted(rng.sample(range(count), rng.randint(1, min(3, count)))) for _ in range(2)]
        if rng.random() < 0.8:
            sets[1] = sorted(set(sets[1]) | {sets[0][0]})
        (s1, t1), (s2, t2) = rng.choice([((1, epoch), (1, epoch))] * 3 + [((0, epoch), (1, epoch - 1))] * 3 + [((1, 3), (2, 4))])
        return self.spec.AttesterSlashing(
            attestation_1=self.indexed(state, sets[0], s1, t1, bytes([1] * 32)),
            attestation_2=self.indexed(state, sets[1], s2, t2, bytes([2] * 32)),
        )

    def _signed_header(self, state, header):
        spec = self.spec
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_PROPOSER, spec.compute_epoch_at_slot(header.slot))
        signature = self._sign(state, [header.proposer_index], header, domain)
        return spec.SignedBeaconBlockHeader(message=header, signature=signature)

    def header(self, index, slot, **changes):
        """A header that nobody has seen."""
        roots = {f"{part}_root": self.rng.randbytes(32) for part in ("parent", "state", "body")}
        return self.spec.BeaconBlockHeader(slot=slot, proposer_index=index, **{**roots, **changes})

    def proposer_slashing(self, state):
        """Two headers of one slot; sometimes of two slots or proposers, or the same header twice."""
        rng, index, slot = self.rng, self.pick(state), self.rng.randint(0, int(state.slot) + 20)
        one = self.header(index, slot)
        wrong = rng.choices(["", "slot", "proposer", "same"], [85, 5, 5, 5])[0]
        two = one if wrong == "same" else self.header(self.pick(state) if wrong == "proposer" else index, slot + (wrong == "slot"))
        return self.spec.ProposerSlashing(
            signed_header_1=self._signed_header(state, one), signed_header_2=self._signed_header(state, two)
        )

    def fault(self, state):
        """A fault proof by a random part of the committee of the accused's epoch."""
        spec, rng = self.spec, self.rng
        age = rng.choices([1, rng.randint(1, 64), 65, 0], [6, 6, 1, 1])[0]
        slot = spec.Slot(max(0, int(state.slot) - age))
        seats = faults.committee(spec, state, spec.compute_epoch_at_slot(slot))
        accused = rng.choice(seats) if seats and rng.random() < 0.9 else self.pick(state)
        real = self.header(accused, slot)
        if rng.random() < 0.05:  # the block of that slot itself, if one came
            real = spec.BeaconBlockHeader(**{name: getattr(state.latest_block_header, name) for name in real.fields()})
            real.state_root = state.hash_tree_root() if real.state_root == spec.Root() else real.state_root
        voters = [i for i, member in enumerate(seats) if member != real.proposer_index and rng.random() < 0.9]
        bits = sum(1 << i for i in voters).to_bytes(64, "little")
        tail = bytes([1, rng.choices([1, 2], [20, 1])[0], 0, 0]) + le(len(seats), 4)
        second = spec.BeaconBlockHeader(
            slot=real.slot,
            proposer_index=real.proposer_index,
            parent_root=faults.FAULT_TAG + tail,
            state_root=bits[:32],
            body_root=bits[32:],
        )
        domain = faults.ai_domain(spec, state, faults.DOMAIN_AI_FAULT)
        votes = self._sign(state, [seats[i] for i in voters], faults.fault_vote(spec, real), domain)
        return spec.ProposerSlashing(
            signed_header_1=self._signed_header(state, real),
            signed_header_2=spec.SignedBeaconBlockHeader(message=second, signature=votes),
        )

    def malfeasance(self, state):
        """ACKs of one member for two result roots."""
        spec, rng, member = self.spec, self.rng, self.pick(state)
        domain = faults.ai_domain(spec, state, faults.DOMAIN_AI_ACK)
        body = rng.randbytes(32)
        signed = []
        for i in range(2):
            root = bytes([7] * 32) if rng.random() < 0.05 else rng.randbytes(32)
            header = spec.BeaconBlockHeader(
                slot=int(rng.random() < 0.03),
                proposer_index=member,
                parent_root=faults.EQUIVOCATION_TAG,
                state_root=root,
                body_root=body,
            )
            message = H(H(body, H(root, bytes(32))), bytes(domain))
            signature = self.keys.sign([state.validators[member].pubkey], message)
            signed.append(spec.SignedBeaconBlockHeader(message=header, signature=signature))
        return spec.ProposerSlashing(signed_header_1=signed[0], signed_header_2=signed[1])

    def exit(self, state):
        """A voluntary exit, sometimes of an epoch to come."""
        spec = self.spec
        epoch = max(0, int(spec.get_current_epoch(state)) + self.rng.choice([0, 0, -1, -5, 1]))
        message = spec.VoluntaryExit(epoch=epoch, validator_index=self.pick(state))
        domain = spec.compute_domain(
            spec.DOMAIN_VOLUNTARY_EXIT, spec.config.CAPELLA_FORK_VERSION, state.genesis_validators_root
        )
        return spec.SignedVoluntaryExit(message=message, signature=self._sign(state, [message.validator_index], message, domain))

    def bls_change(self, state):
        """A change to an account; its key is the validator's own, as in oracle.start."""
        spec, index = self.spec, self.pick(state)
        public = state.validators[index].pubkey
        message = spec.BLSToExecutionChange(
            validator_index=index, from_bls_pubkey=public, to_execution_address=self.rng.randbytes(20)
        )
        domain = spec.compute_domain(
            spec.DOMAIN_BLS_TO_EXECUTION_CHANGE, genesis_validators_root=state.genesis_validators_root
        )
        return spec.SignedBLSToExecutionChange(message=message, signature=self._sign(state, [index], message, domain))

    def deposit_data(self, state):
        """A new validator, one whose proof does not hold, one whose key is no key, or a top-up."""
        spec, rng = self.spec, self.rng
        kind = rng.choices(["new", "bad", "no_key", "top_up", "again"], [6, 2, 1, 4, 1])[0]
        self.joined += kind != "again"
        public = self.keys.new("joined", self.joined)
        if kind == "top_up":
            public = state.validators[self.pick(state)].pubkey
        if kind == "no_key":
            public = rng.randbytes(48)
        message = spec.DepositMessage(
            pubkey=public,
            withdrawal_credentials=rng.choice([b"\x00", b"\x01"]) + bytes(11) + rng.randbytes(20),
            amount=rng.choice([1, 16, 32, 32, 33]) * GWEI + rng.choice([0, 0, 1]),
        )
        root = spec.compute_signing_root(message, spec.compute_domain(spec.DOMAIN_DEPOSIT))
        signature = INFINITY if kind in ("bad", "no_key") else self.keys.sign([public], root)
        fields = {name: getattr(message, name) for name in message.fields()}
        return spec.DepositData(**fields, signature=signature)

    def deposits(self, state) -> list:
        """The deposits that the next block on this state must carry."""
        spec, data = self.spec, state.eth1_data
        first, count = int(state.eth1_deposit_index), int(data.deposit_count)
        last = first + min(int(spec.MAX_DEPOSITS), count - first)
        return [spec.Deposit(proof=self.tree.proof(i, count), data=self.tree.data[i]) for i in range(first, last)]

    def sync_aggregate(self, state, share: float):
        """Signatures over the previous slot's block, each with probability `share`."""
        spec = self.spec
        slot = max(int(state.slot), 1) - 1
        root = spec.get_block_root_at_slot(state, spec.Slot(slot))
        domain = spec.get_domain(state, spec.DOMAIN_SYNC_COMMITTEE, spec.compute_epoch_at_slot(spec.Slot(slot)))
        bits = [self.rng.random() < share for _ in range(spec.SYNC_COMMITTEE_SIZE)]
        signers = [key for key, bit in zip(state.current_sync_committee.pubkeys, bits) if bit]
        signature = self.keys.sign(signers, spec.compute_signing_root(root, domain))
        return spec.SyncAggregate(sync_committee_bits=bits, sync_committee_signature=signature)
