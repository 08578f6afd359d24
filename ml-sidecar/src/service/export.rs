//! The adapter of a state as files in memory, and on its way to a reader.

use std::{fs, io, time::Duration};

use pol_api::{
    sidecar::model::{AdapterFormat, ExportedFile},
    status::Reason,
    tonic::Status,
};
use pol_core::state::State;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};

use crate::{
    adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, AdapterError, PeftError, StateFileError, export, write_state},
    device::Device,
};

/// A reader that leaves a part untaken for so long is cut off: another one waits for its place.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const STATE_FILE: &str = "adapter.pols";

/// Why there is no export: our disk's fault, or a defect of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error(transparent)]
    Peft(#[from] PeftError),
    #[error(transparent)]
    State(#[from] StateFileError),
}

/// Writes an adapter to a folder of its own and reads its files. It takes the adapter's size in memory; callers see that it is done once at a
/// time.
pub(crate) fn files(state: &State, format: AdapterFormat) -> Result<Vec<ExportedFile>, ExportError> {
    let folder = tempfile::tempdir()?;
    let names: &[&str] = match format {
        AdapterFormat::Peft => {
            export(&Adapter::from_state(state, Device::cpu())?, "", folder.path())?;
            &[ADAPTER_CONFIG, ADAPTER_WEIGHTS]
        }
        AdapterFormat::State => {
            write_state(state, &folder.path().join(STATE_FILE))?;
            &[STATE_FILE]
        }
    };
    let read = |name: &&str| {
        let bytes = fs::read(folder.path().join(name))?.into();
        Ok(ExportedFile { name: (*name).to_owned(), bytes })
    };
    names.iter().map(read).collect()
}

/// Hands parts to a reader, one at a time; the first is what has to run beside it. The place is taken until the last part is, or the reader gone,
/// or one part was not taken within `patience`: then the stream ends with `lagged`.
pub(crate) fn handed<T: Send + 'static>(
    parts: impl Iterator<Item = T> + Send + 'static,
    place: OwnedSemaphorePermit,
    patience: Duration,
) -> (impl Future<Output = Result<(), io::Error>> + Send, impl Stream<Item = Result<T, Status>> + Send) {
    // One place for a part and one for the last word, which is kept free.
    let (sender, parts_taken) = mpsc::channel(2);
    let work = async move {
        let _place = place;
        let Ok(last_word) = sender.clone().reserve_owned().await else { return Ok(()) };
        for part in parts {
            match timeout(patience, sender.send(Ok(part))).await {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => break,
                Err(_) => {
                    let seconds = patience.as_secs();
                    last_word.send(Err(
                        Reason::Lagged.refuse(format!("a part was not taken for {seconds} s: ask for the export again"))
                    ));
                    break;
                }
            }
        }
        Ok(())
    };
    (work, ReceiverStream::new(parts_taken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{pin::pin, sync::Arc};
    use tokio::{sync::Semaphore, time::sleep};
    use tokio_stream::StreamExt as _;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_off_and_its_place_is_free_for_the_next() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let (work, stream) = handed(0..100, place, PATIENCE);
        let mut stream = pin!(stream);
        let waited = tokio::time::Instant::now();
        work.await.unwrap();
        assert_eq!((waited.elapsed(), places.available_permits()), (PATIENCE, 1));
        assert_eq!(stream.next().await.unwrap().unwrap(), 0, "what was handed over before");
        let refused = stream.next().await.unwrap().unwrap_err();
        assert_eq!(Reason::of(&refused), Some(Reason::Lagged), "no end that looks like a whole file");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gets_all_and_one_that_leaves_frees_its_place() {
        let places = Arc::new(Semaphore::new(1));
        let (work, stream) = handed(0..5, Arc::clone(&places).try_acquire_owned().unwrap(), PATIENCE);
        let reading = async {
            let (mut stream, mut taken) = (pin!(stream), Vec::new());
            while let Some(part) = stream.next().await {
                taken.push(part.unwrap());
                sleep(PATIENCE - Duration::from_secs(1)).await;
            }
            taken
        };
        let (worked, taken) = tokio::join!(work, reading);
        assert_eq!((worked.is_ok(), taken), (true, vec![0, 1, 2, 3, 4]));
        let (work, stream) = handed(0..5, Arc::clone(&places).try_acquire_owned().unwrap(), PATIENCE);
        drop(stream);
        work.await.unwrap();
        assert_eq!(places.available_permits(), 1);
    }
}
