//! What a transaction did, step by step or call by call.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_rpc_types_trace::geth::{
    GethDebugBuiltInTracerType as BuiltIn, GethDebugTracerType as Tracer, GethDebugTracingOptions, GethTrace,
};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};

use super::{
    Calls, Eth,
    error::{LIMIT, SERVER, internal, params, refusal},
    meter::Meter,
};
use crate::{limits, store::BlockData};

/// Traces.
#[rpc(server, namespace = "debug")]
pub trait DebugApi {
    /// Runs a transaction of the chain again, under a tracer: `callTracer`, or the struct logger when none is named.
    #[method(name = "traceTransaction")]
    async fn trace_transaction(&self, hash: B256, options: Option<GethDebugTracingOptions>) -> RpcResult<GethTrace>;
}

#[jsonrpsee::core::async_trait]
impl DebugApiServer for Calls {
    async fn trace_transaction(&self, hash: B256, options: Option<GethDebugTracingOptions>) -> RpcResult<GethTrace> {
        self.run(move |eth| eth.trace(hash, options.unwrap_or_default())).await
    }
}

/// A tracer, behind the meter of what it records.
fn inspector(options: GethDebugTracingOptions) -> RpcResult<(Meter, DebugInspector)> {
    let memory = options.config.enable_memory.unwrap_or_else(|| options.config.disable_memory == Some(false));
    let steps = match options.tracer {
        None => true,
        Some(Tracer::BuiltInTracer(BuiltIn::CallTracer)) => false,
        // Others record what no meter here knows.
        Some(_) => return Err(params("unsupported tracer: callTracer, or none for the struct logger")),
    };
    let meter = Meter::new(steps, memory, limits::TRACE_BYTES);
    Ok((meter, DebugInspector::new(options).map_err(params)?))
}

impl Eth {
    fn trace(&self, hash: B256, options: GethDebugTracingOptions) -> RpcResult<GethTrace> {
        let (mut meter, mut inspector) = inspector(options)?;
        let found: Option<(Arc<BlockData>, usize)> = self.chain.transaction(&hash)?;
        let (data, index) = found.ok_or_else(|| refusal(SERVER, "transaction not found"))?;
        let (_, on) = self.chain.state_at(data.block.header.parent_hash.into())?;
        let executor = self.chain.executor();
        let inspected = executor.inspect(&data.block, &data.senders, index, on, (&mut meter, &mut inspector));
        let mut inspected =
            inspected.map_err(|error| internal(&error))?.ok_or_else(|| internal(&"a transaction without place"))?;
        if meter.is_spent() {
            return Err(refusal(LIMIT, format!("the trace is larger than {} bytes", limits::TRACE_BYTES)));
        }
        let context = TransactionContext { block_hash: Some(data.hash), tx_index: Some(index), tx_hash: Some(hash) };
        let env = executor.env(&data.block.header);
        let (ran, transaction) = (&inspected.ran, &inspected.transaction);
        let trace = inspector.get_result(Some(context), transaction, &env.block_env, ran, &mut inspected.before);
        trace.map_err(|error| internal(&error))
    }
}
