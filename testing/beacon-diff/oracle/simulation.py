"""A small network in one process: blocks, reorgs, votes and mistakes, all judged by the specification's fork choice."""

from .blocks import Blocks
from .common import DepositTree, le
from .keys import signatures
from .mutants import Mutants
from .start import anchor_block


class Simulation:
    """Plays slots and tells what happened, frame by frame."""

    def __init__(self, spec, rng, keys, state, frames, *, with_faults: bool, deposits: int, with_states: bool, is_calm: bool, is_small: bool = False, genesis_root_only: bool = False):
        self.spec, self.rng, self.frames = spec, rng, frames
        self.tree, self.with_states, self.is_calm, self.is_small = DepositTree(), with_states, is_calm, is_small
        self.blocks = Blocks(spec, rng, keys, self.tree, with_faults, is_calm, is_small)
        if deposits:
            self.tree.data = [self.blocks.make.deposit_data(state) for _ in range(deposits)]
            state.eth1_data = spec.Eth1Data(deposit_root=self.tree.root(deposits), deposit_count=deposits, block_hash=bytes(32))
        anchor = anchor_block(spec, state)
        if genesis_root_only:
            frames.send("G", state.hash_tree_root())
        else:
            frames.send("S", state.encode_bytes(), state.hash_tree_root())
        self.store = spec.get_forkchoice_store(state, anchor)
        self.mutants = Mutants(self)
        self.pool = []
        self._advanced, self._head = {}, None
        self.participation = 1.0 if is_calm else 0.95

    def count(self, what: str, by: int = 1):
        """As Blocks.count."""
        self.blocks.count(what, by)

    def advanced(self, root, slot):
        """The state after the block `root`, at `slot`; not to be changed."""
        spec = self.spec
        state = self._advanced.get((root, int(slot)))
        if state is None:
            state = self.store.block_states[root].copy()
            if state.slot < slot:
                spec.process_slots(state, spec.Slot(slot))
            self._advanced[(root, int(slot))] = state
            if len(self._advanced) > 200:
                self._advanced.pop(next(iter(self._advanced)))
        return state

    def start_time(self, slot) -> int:
        """Unix seconds."""
        return int(self.store.genesis_time) + int(slot) * int(self.spec.config.SLOT_DURATION_MS) // 1000

    def tick(self, time: int):
        """Moves the clock of both sides."""
        self._head = None
        self.spec.on_tick(self.store, self.spec.Uint64(time))
        self.frames.send("T", le(time * 1000, 8))

    def _verdict(self, call) -> bool:
        try:
            call()
            return True
        except Exception:  # noqa: BLE001 (the specification raises whatever comes)
            return False

    def import_block(self, signed):
        """on_block, then what the block carries; both sides."""
        spec, store, self._head = self.spec, self.store, None
        root = signed.message.hash_tree_root()
        with signatures(bool(signed.message.body.deposits)):
            accepted = self._verdict(lambda: spec.on_block(store, signed))
        if accepted:
            for attestation in signed.message.body.attestations:
                self._verdict(lambda a=attestation: spec.on_attestation(store, a, is_from_block=True))
            for slashing in signed.message.body.attester_slashings:
                with signatures(False):
                    self._verdict(lambda s=slashing: spec.on_attester_slashing(store, s))
        self.count("block" if accepted else "refused block")
        self.frames.send("B", bytes([accepted]), signed.encode_bytes(), root)

    def recent(self, slot) -> list:
        """Roots of blocks of the last slots, the newest last."""
        blocks = self.store.blocks
        near = [root for root in blocks if blocks[root].slot + 6 >= slot]
        return sorted(near, key=lambda root: (int(blocks[root].slot), bytes(root))) or [self.head()]

    def head(self):
        """get_head, asked once for every change."""
        if self._head is None:
            self._head = self.spec.get_head(self.store).root
        return self._head

    def propose(self, slot):
        """A block on the head, sometimes on another recent block; seldom two."""
        spec, rng = self.spec, self.rng
        for _ in range(1 if self.is_calm else rng.choices([0, 1, 2], [14, 78, 8])[0]):
            parent = self.head() if self.is_calm or rng.random() < 0.87 else rng.choice(self.recent(slot))
            if self.store.blocks[parent].slot >= slot:
                continue
            state = self.advanced(parent, slot)
            if state.validators[spec.get_beacon_proposer_index(state)].slashed:
                self.count("slashed proposer")
                continue
            block = self.blocks.unsigned(state, self.pool)
            with signatures(bool(block.body.deposits)):
                signed, after = self.blocks.finish(state, block)
            assert after is not None, "a block built from operations that fit"
            if not (self.is_calm or self.is_small):
                self.mutants.play(state, signed.message)
            if not self.is_calm and rng.random() < 0.25:  # late, or just in time
                self.tick(self.start_time(slot) + rng.randrange(int(spec.config.SLOT_DURATION_MS) // 1000))
            self.import_block(signed)

    def attest(self, slot):
        """Committees of the slot vote, mostly for the head; some of it is heard of before any block brings it."""
        spec, rng = self.spec, self.rng
        head = self.head()
        for index in range(spec.get_committee_count_per_slot(self.advanced(head, slot), spec.compute_epoch_at_slot(slot))):
            choices = [root for root in self.recent(slot) if self.store.blocks[root].slot <= slot]
            voted = head if self.is_calm or rng.random() < 0.85 or not choices else rng.choice(choices)
            state = self.advanced(voted, slot)
            if index >= spec.get_committee_count_per_slot(state, spec.compute_epoch_at_slot(slot)):
                continue
            epoch = spec.compute_epoch_at_slot(slot)
            target = spec.get_checkpoint_block(self.store, voted, epoch)
            if not self.is_calm and rng.random() < 0.03:
                target = spec.Root(rng.randbytes(32))
            attestation = self.blocks.make.attestation(state, slot, index, voted, target, self.participation)
            self.pool.append(attestation)
            if rng.random() < 0.5:
                self.heard.append(attestation)
        self.pool = [a for a in self.pool if a.data.slot + 12 > slot]

    def hear(self):
        """Attestations that come by themselves, in the slot after theirs or (refused) in the same."""
        spec, self._head = self.spec, None
        for attestation in self.heard:
            with signatures(True):
                accepted = self._verdict(lambda a=attestation: spec.on_attestation(self.store, a))
            self.count("vote" if accepted else "refused vote")
            self.frames.send("A", bytes([accepted]), attestation.encode_bytes())
        self.heard = []

    def show(self):
        """What both sides must agree on after every slot."""
        store = self.store
        checkpoints = (store.justified_checkpoint, store.finalized_checkpoint)
        fields = [c.encode_bytes() for c in checkpoints]
        self.frames.send("H", self.head(), *fields, store.proposer_boost_root)

    def anybody(self, slot) -> bool:
        """Whether every recent branch still has active validators, now and soon."""
        spec = self.spec
        states = [self.store.block_states[root] for root in self.recent(slot)]
        epoch = spec.compute_epoch_at_slot(slot)
        return all(spec.get_active_validator_indices(state, spec.Epoch(epoch + i)) for state in states for i in (0, 2))

    def play(self, slots: int):
        """Plays that many slots after the start."""
        spec, rng = self.spec, self.rng
        self.heard = []
        first = int(spec.get_current_slot(self.store))
        for number in range(first + 1, first + 1 + slots):
            slot = spec.Slot(number)
            if not self.anybody(slot):
                self.count("end of a chain without validators")
                break
            if number % 16 == 0 and not self.is_calm:
                self.participation = rng.choice([0.95, 0.95, 1.0, 0.7, 0.3])
            self.tick(self.start_time(slot))
            self.hear()
            self.propose(slot)
            self.attest(slot)
            if not self.is_calm and rng.random() < 0.1:
                self.hear()
            if rng.random() < 0.15:
                self.tree.data += [self.blocks.make.deposit_data(self.advanced(self.head(), slot)) for _ in range(rng.randint(1, 3))]
            self.show()
            root = rng.choice(self.recent(slot))
            state = self.advanced(root, slot + 1)
            whole = [state.encode_bytes()] if self.with_states else []
            self.frames.send("R", root, le(slot + 1, 8), state.hash_tree_root(), *whole)
        finalized = int(self.store.finalized_checkpoint.epoch)
        self.frames.json("E", {"counts": self.blocks.counts, "finalized": finalized})
