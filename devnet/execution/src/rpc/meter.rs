//! What a trace may grow to.

use revm::{
    Inspector,
    context::ContextTr,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, InstructionResult, Interpreter, InterpreterTypes,
        interpreter_types::{MemoryTr as _, StackTr as _},
    },
};

/// Bytes that a recorded step takes beside stack and memory.
const STEP_BYTES: usize = 256;
const WORD_BYTES: usize = 32;

/// Counts what the inspector behind it would record, and ends the execution when that is too much.
///
/// Thirty million gas are enough for gigabytes of steps, and for more of call data: a call may name the same megabyte again and again.
#[derive(Debug)]
pub(super) struct Meter {
    /// Whether every step is recorded, or calls only.
    steps: bool,
    /// Whether each step comes with the whole memory.
    memory: bool,
    left: usize,
}

impl Meter {
    /// `steps`, `memory`: what is recorded; `bytes`: how much of it.
    pub(super) const fn new(steps: bool, memory: bool, bytes: usize) -> Self {
        Self { steps, memory, left: bytes }
    }

    /// Whether it ended the execution: what was recorded then is no trace of the transaction.
    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    const fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

impl<CTX: ContextTr, INTR: InterpreterTypes> Inspector<CTX, INTR> for Meter {
    fn step(&mut self, interp: &mut Interpreter<INTR>, _context: &mut CTX) {
        if self.steps {
            let memory = if self.memory { interp.memory.size() } else { 0 };
            let stack = interp.stack.len().saturating_mul(WORD_BYTES);
            self.spend(STEP_BYTES.saturating_add(stack).saturating_add(memory));
        }
        if self.is_spent() {
            interp.halt(InstructionResult::OutOfGas);
        }
    }

    fn call(&mut self, _context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.spend(STEP_BYTES.saturating_add(inputs.input.len()));
        None
    }

    fn call_end(&mut self, _context: &mut CTX, _inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.spend(outcome.result.output.len());
    }

    fn create(&mut self, _context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.spend(STEP_BYTES.saturating_add(inputs.init_code().len()));
        None
    }

    fn create_end(&mut self, _context: &mut CTX, _inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.spend(outcome.result.output.len());
    }
}
