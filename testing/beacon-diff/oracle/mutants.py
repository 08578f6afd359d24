"""Blocks with something wrong in them, or something that only looks wrong: the specification says which."""

from .keys import signatures


class Mutants:
    """Makes and judges them on the state that a good block was built on."""

    def __init__(self, simulation):
        self.simulation = simulation
        self.spec, self.rng = simulation.spec, simulation.rng

    def play(self, state, block):
        """Some mutants of a good block; none is imported."""
        rng = self.rng
        if rng.random() < 0.5:
            self.flipped(state, block)
        if rng.random() < 0.5:
            self.unfiltered(state, block)
        if rng.random() < 0.3:
            self.changed(state, block)

    def _send(self, verdict: int, data: bytes, root: bytes):
        self.simulation.count(("undecodable", "refused mutant", "accepted mutant")[verdict])
        self.simulation.frames.send("X", bytes([verdict]), data, root)

    def _judge(self, state, block):
        """Signed anew by the proposer; with the state root it deserves, if it deserves one."""
        with signatures(True):
            signed, after = self.simulation.blocks.finish(state, block)
            known = block.proposer_index < len(state.validators)
            good = after is not None and known and self.spec.verify_block_signature(state, signed)
        self._send(2 if good else 1, signed.encode_bytes(), bytes(after.hash_tree_root()) if good else bytes(32))

    def flipped(self, state, block):
        """One bit of the SSZ bytes, signed anew."""
        data = bytearray(block.encode_bytes())
        # The slot stays: the state was advanced to it.
        bit = self.rng.randrange(8 * 8, 8 * len(data))
        data[bit // 8] ^= 1 << (bit % 8)
        try:
            mutant = self.spec.BeaconBlock.decode_bytes(bytes(data))
            assert mutant.encode_bytes() == bytes(data), "decoded to something else"
        except Exception:  # noqa: BLE001
            # Inside a signed block: offset of the message, signature, message.
            self._send(0, (100).to_bytes(4, "little") + bytes(96) + bytes(data), bytes(32))
            return
        if mutant.slot == block.slot and mutant.parent_root == block.parent_root:
            self._judge(state, mutant)

    def unfiltered(self, state, block):
        """An operation that nobody asked whether it fits."""
        spec, rng, make = self.spec, self.rng, self.simulation.blocks.make
        mutant = block.copy()
        body = mutant.body
        names = ["proposer_slashing", "attester_slashing", "exit", "bls_change", "attestation", "duplicate"]
        if self.simulation.blocks.with_faults:
            names += ["fault", "fault", "malfeasance"]
        name = rng.choice(names)
        fields = {
            "proposer_slashing": body.proposer_slashings,
            "fault": body.proposer_slashings,
            "malfeasance": body.proposer_slashings,
            "attester_slashing": body.attester_slashings,
            "exit": body.voluntary_exits,
            "bls_change": body.bls_to_execution_changes,
        }
        if name in fields:
            if len(fields[name]) < fields[name].limit():
                fields[name].append(getattr(make, name)(state))
        elif name == "duplicate":
            lists = [body.proposer_slashings, body.attester_slashings, body.voluntary_exits, body.attestations, body.deposits]
            lists = [values for values in lists if 0 < len(values) < values.limit()]
            if lists:
                values = rng.choice(lists)
                values.append(rng.choice(list(values)))
        else:
            epoch = spec.get_current_epoch(state)
            slot = spec.Slot(max(0, int(state.slot) - rng.randint(0, 10)))
            if spec.compute_epoch_at_slot(slot) + 1 < epoch or len(body.attestations) == spec.MAX_ATTESTATIONS:
                return
            count = int(spec.get_committee_count_per_slot(state, spec.compute_epoch_at_slot(slot)))
            attestation = make.attestation(state, slot, rng.randrange(count), rng.randbytes(32), rng.randbytes(32), rng.random())
            if rng.random() < 0.2:
                attestation.data.index += 1
            body.attestations.append(attestation)
        self._judge(state, mutant)

    def changed(self, state, block):
        """One field of the block itself."""
        spec, rng = self.spec, self.rng
        mutant = block.copy()
        body = mutant.body
        payload = body.execution_payload
        choice = rng.randrange(8)
        if choice == 0:
            mutant.proposer_index = rng.choice([0, 1, len(state.validators), 2**63])
        elif choice == 1:
            payload.timestamp = payload.timestamp + 1
        elif choice == 2:
            payload.prev_randao = rng.randbytes(32)
        elif choice == 3:
            payload.parent_hash = rng.randbytes(32)
        elif choice == 4 and len(payload.withdrawals):
            payload.withdrawals[0].amount = payload.withdrawals[0].amount + 1
        elif choice == 5:
            body.eth1_data.deposit_count = rng.choice([0, 2**64 - 1])
        elif choice == 6:
            body.sync_aggregate.sync_committee_bits[0] = not body.sync_aggregate.sync_committee_bits[0]
        else:
            body.blob_kzg_commitments = [rng.randbytes(48) for _ in range(rng.choice([1, 6, 7]))]
        self._judge(state, mutant)
