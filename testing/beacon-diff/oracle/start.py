"""States to begin at: a chain's genesis, or one full of everything that can be in a state."""

import sys
from pathlib import Path

from .common import H
from .keys import Keys

sys.path.append(str(Path(__file__).resolve().parents[2] / "vectors"))

from gen.identity import account, signing_key  # noqa: E402

GWEI = 10**9
FAR = 2**64 - 1


def chain_genesis(spec, given: dict, keys: Keys):
    """docs/PROTOCOL.md section 5 and the execution header that is given, turned into the state at slot 0."""
    seed = bytes.fromhex(given["seed"])
    address = account(seed)["address"]
    credentials = b"\x01" + bytes(11) + address
    validators = [
        spec.Validator(
            pubkey=keys.add(signing_key(seed, i)),
            withdrawal_credentials=credentials,
            effective_balance=32 * GWEI,
            activation_eligibility_epoch=0,
            activation_epoch=0,
            exit_epoch=FAR,
            withdrawable_epoch=FAR,
        )
        for i in range(given["validators"])
    ]
    block_hash = bytes.fromhex(given["execution_hash"])
    header = spec.ExecutionPayloadHeader(
        state_root=bytes.fromhex(given["execution_state_root"]),
        receipts_root=bytes.fromhex(given["execution_receipts_root"]),
        gas_limit=given["gas_limit"],
        timestamp=given["genesis_time"],
        extra_data=bytes(min(64, int(spec.MAX_EXTRA_DATA_BYTES))),
        base_fee_per_gas=given["base_fee_per_gas"],
        block_hash=block_hash,
        transactions_root=spec.List[spec.Transaction, spec.MAX_TRANSACTIONS_PER_PAYLOAD]().hash_tree_root(),
        withdrawals_root=spec.List[spec.Withdrawal, spec.MAX_WITHDRAWALS_PER_PAYLOAD]().hash_tree_root(),
    )
    n = len(validators)
    version = spec.config.DENEB_FORK_VERSION
    state = spec.BeaconState(
        genesis_time=given["genesis_time"],
        fork=spec.Fork(previous_version=version, current_version=version, epoch=0),
        latest_block_header=spec.BeaconBlockHeader(body_root=spec.BeaconBlockBody().hash_tree_root()),
        eth1_data=spec.Eth1Data(deposit_root=spec.List[spec.DepositData, 2**32]().hash_tree_root(), block_hash=block_hash),
        randao_mixes=[block_hash] * spec.EPOCHS_PER_HISTORICAL_VECTOR,
        validators=validators,
        balances=[32 * GWEI] * n,
        previous_epoch_participation=[0] * n,
        current_epoch_participation=[0] * n,
        inactivity_scores=[0] * n,
        latest_execution_payload_header=header,
    )
    state.genesis_validators_root = state.validators.hash_tree_root()
    state.current_sync_committee = spec.get_next_sync_committee(state)
    state.next_sync_committee = spec.get_next_sync_committee(state)
    return state


def random_validator(spec, rng, keys: Keys, label, epoch: int, finalized: int):
    """A registry entry in one of the phases of its life."""
    public = keys.new(label)
    # The withdrawal key is the signing key, so that its hash can be told.
    credentials = H(public)
    credentials = (b"\x00" + credentials[1:]) if rng.random() < 0.4 else b"\x01" + bytes(11) + credentials[:20]
    effective = rng.choice([32, 32, 32, 32, 31, 24, 17, 16]) * GWEI
    v = spec.Validator(
        pubkey=public,
        withdrawal_credentials=credentials,
        effective_balance=effective,
        activation_eligibility_epoch=0,
        activation_epoch=0,
        exit_epoch=FAR,
        withdrawable_epoch=FAR,
    )
    phase = rng.choices(
        ["active", "new", "queued", "pending", "exiting", "exited", "withdrawable", "slashed"],
        [60, 4, 5, 5, 5, 4, 5, 8],
    )[0]
    if phase == "new":
        v.activation_eligibility_epoch = v.activation_epoch = FAR
        v.effective_balance = 32 * GWEI
    elif phase == "queued":
        v.activation_eligibility_epoch, v.activation_epoch = rng.randint(0, finalized + 1), FAR
    elif phase == "pending":
        v.activation_eligibility_epoch, v.activation_epoch = min(finalized, epoch), epoch + rng.randint(1, 5)
    elif phase == "exiting":
        v.exit_epoch = epoch + rng.randint(1, 7)
        v.withdrawable_epoch = v.exit_epoch + rng.randint(1, 8)
    elif phase == "exited":
        v.exit_epoch = max(1, epoch - rng.randint(0, 3))
        v.withdrawable_epoch = epoch + rng.randint(1, 4)
    elif phase == "withdrawable":
        v.exit_epoch = max(1, epoch - rng.randint(1, 3))
        v.withdrawable_epoch = v.exit_epoch
    elif phase == "slashed":
        v.slashed = True
        v.exit_epoch = max(1, epoch + rng.randint(-2, 6))
        v.withdrawable_epoch = epoch + spec.EPOCHS_PER_SLASHINGS_VECTOR // 2 + rng.randint(-1, 6)
    return v


def random_state(spec, rng, keys: Keys, count: int, epoch: int | None = None):
    """A state right after a block, with validators in every phase, scores, flags, slashings and votes."""
    epoch = rng.choice([0, 1, 2, 5, 9, 17, 40, 70]) if epoch is None else epoch
    slot = epoch * spec.SLOTS_PER_EPOCH  # fork choice begins at a checkpoint
    finalized = max(0, epoch - rng.choice([2, 2, 3, 7]))
    justified = min(max(finalized, epoch - rng.choice([1, 1, 2])), max(epoch - 1, 0))
    before = max(finalized, justified - rng.choice([0, 1]))
    root = rng.randbytes
    validators = [random_validator(spec, rng, keys, ("start", count, i), epoch, finalized) for i in range(count)]
    epochs = (max(epoch - 1, 0), epoch, epoch + 1)
    if not all(any(spec.is_active_validator(v, e) for v in validators) for e in epochs):
        validators[0].slashed, validators[0].activation_epoch, validators[0].exit_epoch = False, 0, FAR

    def balance(v):
        return max(0, int(v.effective_balance) + rng.choice([0, 0, 1, -1, 2, -300, 800, 1300]) * GWEI // 1000)

    def roots(n):
        return [root(32) for _ in range(n)]

    version = spec.config.DENEB_FORK_VERSION
    state = spec.BeaconState(
        genesis_time=1_700_000_000,
        genesis_validators_root=root(32),
        slot=slot,
        fork=spec.Fork(previous_version=version, current_version=version, epoch=0),
        block_roots=roots(spec.SLOTS_PER_HISTORICAL_ROOT),
        state_roots=roots(spec.SLOTS_PER_HISTORICAL_ROOT),
        historical_roots=roots(rng.randrange(3)),
        eth1_deposit_index=0,
        validators=validators,
        balances=[balance(v) for v in validators],
        randao_mixes=roots(spec.EPOCHS_PER_HISTORICAL_VECTOR),
        slashings=[rng.choice([0, 0, 0, 32, 64]) * GWEI for _ in range(spec.EPOCHS_PER_SLASHINGS_VECTOR)],
        previous_epoch_participation=[rng.choice([0, 1, 3, 7, 7, 7]) for _ in validators],
        current_epoch_participation=[0] * count,  # its first slot: nobody can have voted
        justification_bits=[rng.random() < 0.7 for _ in range(4)],
        previous_justified_checkpoint=spec.Checkpoint(epoch=before, root=root(32)),
        current_justified_checkpoint=spec.Checkpoint(epoch=justified, root=root(32)),
        finalized_checkpoint=spec.Checkpoint(epoch=finalized, root=root(32)),
        inactivity_scores=[rng.choice([0, 0, 1, 3, 20, 5_000_000]) for _ in validators],
        next_withdrawal_index=rng.randrange(1000),
        next_withdrawal_validator_index=rng.randrange(count),
        historical_summaries=[
            spec.HistoricalSummary(block_summary_root=root(32), state_summary_root=root(32)) for _ in range(rng.randrange(3))
        ],
    )
    header = state.latest_execution_payload_header
    header.block_hash, header.extra_data = root(32), root(rng.randint(0, 32))
    state.latest_execution_payload_header = header
    state.latest_block_header = spec.BeaconBlockHeader(
        slot=slot,
        proposer_index=rng.randrange(count),
        parent_root=root(32),
        body_root=spec.BeaconBlockBody().hash_tree_root(),
    )
    state.current_sync_committee = spec.get_next_sync_committee(state)
    state.next_sync_committee = spec.get_next_sync_committee(state)
    return state


def anchor_block(spec, state):
    """The block that `state` is the state after."""
    header = state.latest_block_header
    return spec.BeaconBlock(
        slot=header.slot,
        proposer_index=header.proposer_index,
        parent_root=header.parent_root,
        state_root=state.hash_tree_root(),
    )
