"""epoch.json: every step of process_epoch alone and all together, on states at the end of an epoch. committees.json: who sits where."""

from ..start import FAR
from .base import GWEI, SOURCE, Base, judged, splices

STEPS = [
    "process_justification_and_finalization",
    "process_inactivity_updates",
    "process_rewards_and_penalties",
    "process_registry_updates",
    "process_slashings",
    "process_eth1_data_reset",
    "process_effective_balance_updates",
    "process_slashings_reset",
    "process_randao_mixes_reset",
    "process_historical_summaries_update",
    "process_participation_flag_updates",
    "process_sync_committee_updates",
    "process_epoch",
]


def _changes(spec, base) -> dict:
    """Named changes of the base state that keep its length."""
    n = len(base.validators)

    def everybody(flags):
        def change(state):
            state.previous_epoch_participation = [flags] * n
            state.current_epoch_participation = [flags] * n

        return change

    def leak(state):
        state.finalized_checkpoint.epoch = 0
        state.inactivity_scores = [1_000_000 * i for i in range(n)]

    def at_epoch(epoch):
        def change(state):
            state.slot = epoch * spec.SLOTS_PER_EPOCH + spec.SLOTS_PER_EPOCH - 1
            state.finalized_checkpoint.epoch = min(int(state.finalized_checkpoint.epoch), max(epoch - 2, 0))

        return change

    def slashed_everybody(state):
        due = spec.get_current_epoch(state) + spec.EPOCHS_PER_SLASHINGS_VECTOR // 2
        for i in range(0, n, 3):
            state.validators[i].slashed = True
            state.validators[i].withdrawable_epoch = due
        state.slashings = [32 * GWEI] * spec.EPOCHS_PER_SLASHINGS_VECTOR

    def ejects_everybody(state):
        for i in range(n):
            state.validators[i].effective_balance = 16 * GWEI

    def queue(state):
        for i in range(4, n):
            state.validators[i].activation_epoch = FAR
            state.validators[i].activation_eligibility_epoch = (i * 7) % 5

    def poor(state):
        state.balances = [i * 1000 for i in range(n)]

    def hysteresis(state):
        steps = [-1251, -1250, -251, -250, -249, 0, 249, 250, 251, 1249, 1250, 1251]
        state.balances = [int(v.effective_balance) + steps[i % len(steps)] * GWEI // 1000 for i, v in enumerate(state.validators)]

    def rich(state):
        state.balances = [2**64 - 1 - (i % 2) for i in range(n)]

    def slashings_overflow(state):
        state.slashings = [2**63] * spec.EPOCHS_PER_SLASHINGS_VECTOR

    return {
        "as_it_is": lambda state: None,
        "nobody_votes": everybody(0),
        "everybody_votes": everybody(7),
        "only_targets": everybody(2),
        "leak": leak,
        "epoch_0": at_epoch(0),
        "epoch_1": at_epoch(1),
        "end_of_all_periods": at_epoch(63),
        "slashed": slashed_everybody,
        "ejected": ejects_everybody,
        "queue": queue,
        "poor": poor,
        "hysteresis": hysteresis,
        "balances_overflow": rich,
        "slashings_overflow": slashings_overflow,
    }


def epoch_document() -> dict:
    """epoch.json."""
    base = Base("official", 41, 24, 7)
    spec, state = base.spec, base.state
    before = bytes(state.encode_bytes())
    cases = []
    for name, change in _changes(spec, state).items():
        changed = state.copy()
        change(changed)
        for step in STEPS if name in ("as_it_is", "leak", "end_of_all_periods") else _of(name):
            result = judged(changed, getattr(spec, step))
            cases.append({"name": f"{name}/{step}", "step": step, "change": splices(before, bytes(changed.encode_bytes())), **result})
    about = "Steps of process_epoch on `state`, changed by replacing bytes of its SSZ; root after the step, or an error."
    return {"about": about, "source": SOURCE, "state": before, "cases": cases}


def _of(name: str) -> list:
    """The steps that a change can matter to."""
    steps = {
        "slashed": ["process_slashings", "process_rewards_and_penalties", "process_epoch"],
        "ejected": ["process_registry_updates", "process_epoch"],
        "queue": ["process_registry_updates", "process_epoch"],
        "poor": ["process_rewards_and_penalties", "process_effective_balance_updates", "process_epoch"],
        "hysteresis": ["process_effective_balance_updates"],
        "balances_overflow": ["process_rewards_and_penalties", "process_effective_balance_updates"],
        "slashings_overflow": ["process_slashings"],
    }
    votes = ["process_justification_and_finalization", "process_inactivity_updates", "process_rewards_and_penalties", "process_epoch"]
    return steps.get(name, votes)


def committees_document() -> dict:
    """committees.json."""
    cases = []
    for count, seed in ((1, 51), (9, 52), (150, 54)):
        base = Base("official", seed, max(count, 16), 3)
        spec, state = base.spec, base.state
        if count == 1:  # everybody but one has left
            for i, v in enumerate(state.validators):
                v.exit_epoch = FAR if i == 12 else min(5, int(v.exit_epoch))
                state.validators[i] = v
        epoch = int(spec.get_current_epoch(state))
        epochs = []
        for e in (epoch - 1, epoch, epoch + 1):
            per_slot = int(spec.get_committee_count_per_slot(state, spec.Epoch(e)))
            first = e * int(spec.SLOTS_PER_EPOCH)
            slots = [
                [[int(i) for i in spec.get_beacon_committee(state, spec.Slot(slot), spec.CommitteeIndex(c))] for c in range(per_slot)]
                for slot in range(first, first + int(spec.SLOTS_PER_EPOCH))
            ]
            epochs.append({"epoch": e, "committees_per_slot": per_slot, "members": [i for slot in slots for c in slot for i in c], "sizes": [len(c) for slot in slots for c in slot]})
        proposers = []
        for slot in range(epoch * int(spec.SLOTS_PER_EPOCH), (epoch + 1) * int(spec.SLOTS_PER_EPOCH)):
            at = state.copy()
            at.slot = slot
            proposers.append(int(spec.get_beacon_proposer_index(at)))
        next_committee = spec.get_next_sync_committee(state)
        cases.append(
            {
                "name": f"{count}_active" if count == 1 else f"{count}_validators",
                "state": bytes(state.encode_bytes()),
                "epochs": epochs,
                "proposers": proposers,
                "next_sync_committee": bytes(next_committee.hash_tree_root()),
                "total_active_balance": int(spec.get_total_active_balance(state)),
            }
        )
    about = "Committees (members one after the other, sizes by slot and index), proposers by slot of the current epoch, and balances."
    return {"about": about, "source": SOURCE, "cases": cases}


def generate() -> dict:
    """Both files."""
    return {"epoch.json": epoch_document(), "committees.json": committees_document()}
