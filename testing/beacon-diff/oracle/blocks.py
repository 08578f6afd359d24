"""Builds blocks that the specification accepts, and blocks that it has to judge."""

from .keys import signatures
from .operations import Maker


class Blocks:
    """The proposers of a chain."""

    def __init__(self, spec, rng, keys, tree, with_faults: bool, is_calm: bool, is_small: bool):
        self.spec, self.rng, self.keys, self.tree, self.with_faults = spec, rng, keys, tree, with_faults
        self.make = Maker(spec, rng, keys, tree)
        self.counts, self._signed, self.is_calm, self.is_small = {}, {}, is_calm, is_small

    def count(self, what: str, by: int = 1):
        """Counts what was played, so that a run that plays nothing is noticed."""
        self.counts[what] = self.counts.get(what, 0) + by

    def _fits(self, scratch, process, operation):
        """The state with the operation applied; None if it does not fit."""
        try:
            trial = scratch.copy()
            process(trial, operation)
            return trial
        except Exception:  # noqa: BLE001 (the specification raises whatever comes)
            return None

    def _is_signed(self, state, attestation) -> bool:
        """Whether the committee that this state sees is the one that signed: another branch can have another shuffling."""
        try:
            indexed = self.spec.get_indexed_attestation(state, attestation)
        except Exception:  # noqa: BLE001
            return False
        key = bytes(indexed.hash_tree_root())
        if key not in self._signed:
            with signatures(True):
                self._signed[key] = bool(self.spec.is_valid_indexed_attestation(state, indexed))
        return self._signed[key]

    def operations(self, state, attestations) -> dict:
        """Random operations that fit one after the other, and everything the pool has."""
        spec, rng, scratch = self.spec, self.rng, state.copy()
        out = {"proposer_slashings": [], "attester_slashings": [], "attestations": [], "voluntary_exits": [], "bls_to_execution_changes": []}

        def add(field, process, operation, name):
            nonlocal scratch
            after = self._fits(scratch, process, operation)
            if after is not None:
                scratch = after
                out[field].append(operation)
                self.count(name)

        kinds = [("proposer_slashings", "process_proposer_slashing", "proposer_slashing", 0.04)]
        if self.with_faults:
            kinds += [("proposer_slashings", "process_proposer_slashing", "fault", 0.12)]
            kinds += [("proposer_slashings", "process_proposer_slashing", "malfeasance", 0.05)]
        kinds += [("attester_slashings", "process_attester_slashing", "attester_slashing", 0.04)]
        for field, process, name, chance in [] if self.is_calm else kinds:
            if rng.random() < chance:
                # Ours decide about the state, so their signatures are always looked at.
                with signatures(name in ("fault", "malfeasance")):
                    add(field, getattr(spec, process), getattr(self.make, name)(state), name)
        with signatures(False):
            for attestation in rng.sample(attestations, min(len(attestations), 10)):
                if self._is_signed(scratch, attestation):
                    add("attestations", spec.process_attestation, attestation, "attestation")
            for field, process, name, chance in (
                ("voluntary_exits", "process_voluntary_exit", "exit", 0.0 if self.is_calm else 0.3),
                ("bls_to_execution_changes", "process_bls_to_execution_change", "bls_change", 0.2),
            ):
                if rng.random() < chance:
                    add(field, getattr(spec, process), getattr(self.make, name)(state), name)
        return out

    def payload(self, state):
        """A payload that the beacon chain's own rules accept."""
        spec, rng = self.spec, self.rng
        limit = int(spec.MAX_EXTRA_DATA_BYTES)
        expected = spec.get_expected_withdrawals(state).withdrawals
        self.count("withdrawal", len(expected))
        return spec.ExecutionPayload(
            parent_hash=state.latest_execution_payload_header.block_hash,
            fee_recipient=rng.randbytes(20),
            state_root=rng.randbytes(32),
            receipts_root=rng.randbytes(32),
            logs_bloom=rng.randbytes(256) if rng.random() < 0.1 and not self.is_small else bytes(256),
            prev_randao=spec.get_randao_mix(state, spec.get_current_epoch(state)),
            block_number=rng.randrange(2**64),
            gas_limit=rng.randrange(2**40),
            gas_used=rng.randrange(2**40),
            timestamp=spec.compute_time_at_slot(state, state.slot),
            extra_data=b"" if self.is_small else rng.randbytes(rng.choice([0, 32, limit, rng.randint(0, limit)])),
            base_fee_per_gas=rng.randrange(2**256),
            block_hash=rng.randbytes(32),
            transactions=[] if self.is_small else [rng.randbytes(rng.randint(0, 70)) for _ in range(rng.choice([0, 0, 1, 3]))],
            withdrawals=expected,
            blob_gas_used=rng.randrange(2**64),
            excess_blob_gas=rng.randrange(2**64),
        )

    def eth1_vote(self, state):
        """Most vote for all deposits there are, some for what is known already, some for nonsense."""
        spec, rng = self.spec, self.rng
        if rng.random() < 0.1:
            return state.eth1_data if rng.random() < 0.7 else spec.Eth1Data(deposit_root=rng.randbytes(32), deposit_count=state.eth1_data.deposit_count)
        count = max(len(self.tree.data), int(state.eth1_data.deposit_count))
        return spec.Eth1Data(deposit_root=self.tree.root(count), deposit_count=count, block_hash=bytes([9] * 32))

    def body(self, state, attestations):
        """`state` stands at the block's slot."""
        spec = self.spec
        epoch = spec.get_current_epoch(state)
        proposer = state.validators[spec.get_beacon_proposer_index(state)].pubkey
        root = spec.compute_signing_root(epoch, spec.get_domain(state, spec.DOMAIN_RANDAO))
        body = spec.BeaconBlockBody(
            randao_reveal=self.keys.sign([proposer], root),
            eth1_data=self.eth1_vote(state),
            graffiti=self.rng.randbytes(32),
            sync_aggregate=self.make.sync_aggregate(state, self.rng.choice([0.0, 0.3, 0.9, 1.0])),
            execution_payload=self.payload(state),
            **self.operations(state, attestations),
        )
        # The vote of this very block can be the one that brings the deposits.
        after = state.copy()
        spec.process_eth1_data(after, body)
        body.deposits = self.make.deposits(after)
        self.count("deposit", len(body.deposits))
        return body

    def sign(self, state, block):
        """Signed by the proposer that the block names, if there is one."""
        spec = self.spec
        root = spec.compute_signing_root(block, spec.get_domain(state, spec.DOMAIN_BEACON_PROPOSER))
        known = block.proposer_index < len(state.validators)
        signature = self.keys.sign([state.validators[block.proposer_index].pubkey] if known else [], root)
        return spec.SignedBeaconBlock(message=block, signature=signature)

    def unsigned(self, state, attestations):
        """A block on a state that stands at its slot, still without state root."""
        spec = self.spec
        return spec.BeaconBlock(
            slot=state.slot,
            proposer_index=spec.get_beacon_proposer_index(state),
            parent_root=state.latest_block_header.hash_tree_root(),
            body=self.body(state, attestations),
        )

    def finish(self, state, block):
        """Processes a block on a copy of the state: (signed block, state after it), or (signed block, None) when it is refused."""
        after = state.copy()
        try:
            self.spec.process_block(after, block)
        except Exception:  # noqa: BLE001
            return self.sign(state, block), None
        block.state_root = after.hash_tree_root()
        return self.sign(state, block), after
