//! Servers and clients with the limits of [`crate::limits`] applied. Use these, never the bare builders.

use tokio_stream::{Stream, StreamExt as _};
use tonic::{
    Status,
    transport::{Channel, Endpoint, Error, Server, server::TcpIncoming},
};

use crate::{
    chunks::{Assembled, Assembler, ChunkError, Part},
    connections::Connections,
    convert::PublishHeader,
    dht::v1::{self, dht_client::DhtClient, dht_server::DhtServer, publish_delta_request},
    execution::{
        self,
        v1::{execution_client::ExecutionClient, execution_server::ExecutionServer},
    },
    limits,
};

/// A server's builder with every limit of a connection. Serve it with [`connections`], which caps their number.
pub fn server() -> Server {
    Server::builder()
        .timeout(limits::REQUEST_TIMEOUT)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(limits::HEADER_BYTES)
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
}

/// The accepted connections of a bound listener, at most [`limits::CONNECTIONS`] at a time.
///
/// ```
/// # use pol_api::serve;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let connections = serve::connections(listener);
/// assert_eq!(connections.counts().open(), 0);
/// # Ok(())
/// # }
/// ```
pub fn connections(listener: tokio::net::TcpListener) -> Connections<TcpIncoming> {
    Connections::new(TcpIncoming::from(listener).with_nodelay(Some(true)))
}

/// The DHT service with bounded messages.
pub fn dht_server<T: v1::dht_server::Dht>(service: T) -> DhtServer<T> {
    DhtServer::new(service).max_decoding_message_size(limits::MESSAGE_BYTES).max_encoding_message_size(limits::MESSAGE_BYTES)
}

/// The execution client's feed with bounded messages.
pub fn execution_server<T: execution::v1::execution_server::Execution>(service: T) -> ExecutionServer<T> {
    ExecutionServer::new(service)
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES)
}

/// A client of the feed with bounded answers.
pub fn execution_client(channel: Channel) -> ExecutionClient<Channel> {
    ExecutionClient::new(channel).max_decoding_message_size(limits::MESSAGE_BYTES)
}

/// Where a service of this machine is, such as `http://127.0.0.1:13338`, with timeouts and keep-alive.
///
/// A call's own, shorter deadline goes on its request ([`tonic::Request::set_timeout`]).
///
/// # Errors
/// The text is no URI: the operator's fault.
pub fn endpoint(uri: impl Into<prost::bytes::Bytes>) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(uri)?
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .timeout(limits::REQUEST_TIMEOUT)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(limits::HEADER_BYTES)
        .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
        .tcp_nodelay(true))
}

/// A client of the DHT service with bounded answers (what it sends the server bounds, with a clear refusal). Clones share the connection and its [`limits::STREAMS_PER_CONNECTION`].
pub fn dht_client(channel: Channel) -> DhtClient<Channel> {
    DhtClient::new(channel).max_decoding_message_size(limits::MESSAGE_BYTES)
}

/// A complete upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The sealed announcement, not yet opened.
    pub announcement: Option<prost::bytes::Bytes>,
    /// The bytes, as many as announced; no more is known of them.
    pub bytes: Assembled,
}

/// The server's side of `PublishDelta`: reads the stream to its end.
///
/// # Errors
/// The stream's own error; [`crate::status::Reason::BadField`], [`crate::status::Reason::BadTransfer`] at the first wrong part.
pub async fn receive_upload<S>(mut stream: S) -> Result<Upload, Status>
where
    S: Stream<Item = Result<v1::PublishDeltaRequest, Status>> + Unpin,
{
    let mut assembler = Assembler::new(limits::DELTA_BYTES);
    let mut announcement = None;
    while let Some(message) = stream.next().await {
        match message?.part.ok_or(ChunkError::EmptyPart)? {
            publish_delta_request::Part::Header(header) => {
                let header = PublishHeader::try_from(header)?;
                assembler.push(&Part::Header(header.transfer))?;
                announcement = header.announcement;
            }
            publish_delta_request::Part::Chunk(chunk) => assembler.push(&Part::Chunk(chunk))?,
        }
    }
    Ok(Upload { announcement, bytes: assembler.finish()? })
}
