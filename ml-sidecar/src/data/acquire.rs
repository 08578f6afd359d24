//! From a request to a set of texts.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use pol_core::sha256;

use super::{
    corpus_set::{CORPUS_TEXTS, CorpusSet},
    filter::{Filter, Limits},
    lines::PART_TEXTS,
    local::{self, LocalError},
    order::Order,
    read::{Format, ReadError, TextFile},
    registry::Dataset,
    request::{AcquireError, Event, Request},
    set::{Contribution, SampleSet, SetError, SetWriter, TEXTS_MAX, Texts},
};
use crate::{
    hub::{FileEntry, Hub, HubError, LocalFile, ReadAt, RepoName},
    unfinished,
};

/// Texts of a request that does not say how many.
pub const SAMPLES_DEFAULT: u64 = 1_000;
const TAG: &[u8] = b"pol-ai/set/v1";
/// Texts that are looked at for one that is kept, before a source is given up.
const READ_PER_KEPT: u64 = 100;
const READ_FREE: u64 = 10_000;
/// Files that are kept open from one of their parts to the next: an unpacker may hold 32 MiB.
const OPEN_MAX: usize = 16;
/// Texts between two events.
const EVENT_TEXTS: u64 = 64;

/// Gets texts to train on.
#[derive(Debug)]
pub struct DataAcquisition {
    hub: Hub,
    sets: PathBuf,
    budget: u64,
}

/// A dataset or a list of files, ready to be read.
struct Source {
    name: String,
    commit: Option<String>,
    files: Vec<FileOf>,
    column: String,
    limits: Limits,
    quota: u64,
}

enum FileOf {
    Hub(RepoName, FileEntry),
    Local(PathBuf, Format),
}

impl DataAcquisition {
    /// With sets in the folder `cache`, of at most `budget` bytes together.
    pub fn new(hub: Hub, cache: &Path, budget: u64) -> Self {
        Self { hub, sets: cache.join("sets"), budget }
    }

    /// The texts of a request; the built-in corpus when it names no source, or no source was named and no hub can be reached.
    ///
    /// # Errors
    /// [`AcquireError`].
    pub fn texts(&self, request: &Request, on_event: &mut dyn FnMut(&Event<'_>)) -> Result<Texts, AcquireError> {
        let corpus = || Texts::Corpus(CorpusSet::new(request.seed, &[], request.total.unwrap_or(CORPUS_TEXTS)));
        if request.datasets.is_empty() && request.files.is_empty() {
            return Ok(corpus());
        }
        match self.acquire(request, on_event) {
            Ok(set) => Ok(Texts::Set(set)),
            Err(error) if error.is_out_of_reach() && !request.named => {
                tracing::warn!(target: "polai::data", %error, "no hub: the built-in corpus is used");
                Ok(corpus())
            }
            Err(error) => Err(error),
        }
    }

    /// A set of texts of the hub or of local files. One that was made before is used again.
    ///
    /// # Errors
    /// [`AcquireError`]; what was fetched stays in the cache, so that the next attempt goes on from there.
    pub fn acquire(&self, request: &Request, on_event: &mut dyn FnMut(&Event<'_>)) -> Result<SampleSet, AcquireError> {
        let mut failed = None;
        let sources = self.sources(request, on_event, &mut failed)?;
        if sources.is_empty() {
            return Err(failed.unwrap_or(AcquireError::Nothing { looked_at: 0 }));
        }
        let place = self.sets.join(set_name(request, &sources)?);
        match SampleSet::open(&place) {
            Ok(set) => return Ok(set),
            Err(SetError::Damaged { path, reason }) => {
                tracing::warn!(target: "polai::data", path = %path.display(), reason, "a damaged set of texts is made again");
            }
            Err(_) => {}
        }
        let mut writer = SetWriter::new(&self.sets, self.budget)?;
        let mut contributions = Vec::new();
        let mut is_whole = true;
        let mut seen = None;
        for source in &sources {
            let filter = seen.get_or_insert_with(|| Filter::new(source.limits));
            let mut contribution =
                Contribution { source: source.name.clone(), commit: source.commit.clone(), ..Contribution::default() };
            let gathered = self.gather(source, request.seed, filter, &mut writer, &mut contribution, on_event);
            contributions.push(contribution);
            match gathered {
                Err(error) if request.named || !matches!(&error, AcquireError::Read { .. } | AcquireError::Hub { .. }) => {
                    return Err(error);
                }
                Err(error) => {
                    skip(&source.name, error, on_event, &mut failed);
                    is_whole = false;
                }
                Ok(()) => {}
            }
        }
        if writer.count() == 0 {
            let looked_at = contributions.iter().map(|contribution| contribution.read).sum();
            return Err(failed.unwrap_or(AcquireError::Nothing { looked_at }));
        }
        self.make_room();
        // A set that lacks a source is not found again, so that the next run tries once more.
        let place = if is_whole { place } else { place.with_extension("partial") };
        Ok(writer.finish(&place, contributions)?)
    }

    fn sources(
        &self,
        request: &Request,
        on_event: &mut dyn FnMut(&Event<'_>),
        failed: &mut Option<AcquireError>,
    ) -> Result<Vec<Source>, AcquireError> {
        if !request.files.is_empty() {
            let files = local::find(&request.files)?.into_iter().map(|(path, format)| FileOf::Local(path, format)).collect();
            let name = request.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            let (column, quota) = (request.column.clone(), request.total.unwrap_or(TEXTS_MAX).min(TEXTS_MAX));
            return Ok(vec![Source { name, commit: None, files, column, limits: Limits::OWN, quota }]);
        }
        let count = request.datasets.len().max(1) as u64;
        let total = request.total.unwrap_or(SAMPLES_DEFAULT).min(TEXTS_MAX);
        let mut sources = Vec::new();
        for (i, dataset) in (0_u64..).zip(&request.datasets) {
            let even = total / count + u64::from(i < total % count);
            let quota = request.per_dataset.unwrap_or(even).min(TEXTS_MAX);
            match self.dataset(dataset, quota, request.refresh) {
                Ok(source) => sources.push(source),
                Err(error) if request.named => return Err(error),
                Err(error) => skip(dataset.key, error, on_event, failed),
            }
        }
        Ok(sources)
    }

    fn dataset(&self, dataset: &Dataset, quota: u64, refresh: bool) -> Result<Source, AcquireError> {
        let failed = |source| AcquireError::Hub { dataset: dataset.key.to_owned(), source };
        let answer = |reason: String| failed(HubError::Answer { what: dataset.repo.to_owned(), reason });
        let repo = dataset.repository().map_err(|error| answer(error.to_string()))?;
        let listing =
            self.hub.listing(&repo, dataset.folder, dataset.prefix, &|path| dataset.holds(path), refresh).map_err(failed)?;
        if listing.files.is_empty() {
            return Err(answer(format!("no files {}*{} in it", dataset.prefix, dataset.suffix)));
        }
        let files = listing.files.into_iter().map(|entry| FileOf::Hub(repo.clone(), entry)).collect();
        let (name, column) = (dataset.key.to_owned(), dataset.column.to_owned());
        Ok(Source { name, commit: Some(listing.commit), files, column, limits: Limits::STRICT, quota })
    }

    /// Takes texts of a source, a part of each of its files in turn, until there are enough.
    fn gather(
        &self,
        source: &Source,
        seed: u64,
        filter: &mut Filter,
        writer: &mut SetWriter,
        contribution: &mut Contribution,
        on_event: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), AcquireError> {
        let count = source.files.len() as u64;
        let mut finished = vec![false; source.files.len()];
        let mut opened = BTreeMap::new();
        let files = Order::new(count, seed, 0);
        let most_read = source.quota.saturating_mul(READ_PER_KEPT).saturating_add(READ_FREE);
        for round in 0_u64.. {
            for number in (0..count).filter_map(|place| files.at(place)) {
                let index = usize::try_from(number).unwrap_or_default();
                let (Some(file), Some(finished)) = (source.files.get(index), finished.get_mut(index)) else { continue };
                if *finished || contribution.kept >= source.quota || contribution.read > most_read {
                    continue;
                }
                let failed = |error| AcquireError::Read { file: file.name(), source: error };
                let texts = match opened.remove(&index) {
                    Some(texts) => texts,
                    None => self.open(file, source).map_err(failed)?,
                };
                let part = match texts.parts() {
                    Some(parts) => Order::new(parts as u64, seed, number).at(round),
                    None => Some(round),
                };
                let Some(part) = part else {
                    *finished = true;
                    continue;
                };
                let mut written = Ok(());
                let counts = texts.read(usize::try_from(part).unwrap_or(usize::MAX), &mut |text| {
                    written = take(text, filter, writer, contribution);
                    if contribution.read.is_multiple_of(EVENT_TEXTS) {
                        on_event(&Event::Progress { source: &source.name, kept: contribution.kept, wanted: source.quota });
                    }
                    let enough = contribution.kept >= source.quota || contribution.read > most_read;
                    if enough || written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                written?;
                let counts = counts.map_err(failed)?;
                let unreadable = counts.missing.saturating_add(counts.not_utf8).saturating_add(counts.too_long);
                contribution.unreadable = contribution.unreadable.saturating_add(unreadable);
                *finished = texts.parts().is_none() && counts.texts.saturating_add(unreadable) < PART_TEXTS;
                if !*finished && opened.len() < OPEN_MAX {
                    opened.insert(index, texts);
                }
            }
            let enough = contribution.kept >= source.quota || contribution.read > most_read;
            if enough || finished.iter().all(|finished| *finished) {
                break;
            }
        }
        on_event(&Event::Progress { source: &source.name, kept: contribution.kept, wanted: source.quota });
        Ok(())
    }

    fn open(&self, file: &FileOf, source: &Source) -> Result<TextFile, ReadError> {
        let (opened, format): (Arc<dyn ReadAt>, _) = match file {
            FileOf::Hub(repo, entry) => {
                let format = Format::of(&entry.path).ok_or_else(|| ReadError::Format("of no known kind".to_owned()))?;
                (self.hub.open(repo, source.commit.as_deref().unwrap_or_default(), entry)?, format)
            }
            FileOf::Local(path, format) => (Arc::new(LocalFile::open(path)?), *format),
        };
        TextFile::open(opened, format, &source.column)
    }

    /// Old sets go when all together are too large. One that is in use stays readable until it is closed, and can be made again.
    fn make_room(&self) {
        let Ok(entries) = fs::read_dir(&self.sets) else { return };
        let size = |path: &Path| fs::metadata(path.join("texts")).map(|texts| (texts.modified().ok(), texts.len())).ok();
        let paths = entries.flatten().map(|entry| entry.path()).filter(|path| path.join("set.json").exists());
        let mut sets: Vec<_> = paths.filter_map(|path| size(&path).map(|(time, bytes)| (time, path, bytes))).collect();
        sets.sort();
        // Those that are written now, this one and other processes', have their share.
        let unfinished = unfinished::folders(&self.sets).into_iter().filter_map(|path| size(&path)).map(|(_, bytes)| bytes);
        let mut used = sets.iter().map(|(_, _, bytes)| *bytes).chain(unfinished).fold(0, u64::saturating_add);
        for (_, path, bytes) in sets {
            if used <= self.budget {
                break;
            }
            tracing::info!(target: "polai::data", path = %path.display(), "removed: old sets of texts are too large");
            if fs::remove_dir_all(&path).is_ok() {
                used = used.saturating_sub(bytes);
            }
        }
    }
}

impl FileOf {
    fn name(&self) -> String {
        match self {
            Self::Hub(repo, entry) => format!("{}/{}", repo.id(), entry.path),
            Self::Local(path, _) => path.display().to_string(),
        }
    }
}

fn skip(source: &str, error: AcquireError, on_event: &mut dyn FnMut(&Event<'_>), failed: &mut Option<AcquireError>) {
    tracing::warn!(target: "polai::data", source, %error, "passed over");
    on_event(&Event::Skipped { source, error: &error });
    *failed = Some(error);
}

fn take(text: &str, filter: &mut Filter, writer: &mut SetWriter, contribution: &mut Contribution) -> Result<(), SetError> {
    contribution.read = contribution.read.saturating_add(1);
    contribution.read_bytes = contribution.read_bytes.saturating_add(text.len() as u64);
    match filter.pass(text) {
        Ok(kept) => {
            writer.push(&kept)?;
            contribution.kept = contribution.kept.saturating_add(1);
            contribution.kept_bytes = contribution.kept_bytes.saturating_add(kept.len() as u64);
        }
        Err(refusal) => {
            let count = contribution.refused.entry(refusal).or_default();
            *count = count.saturating_add(1);
        }
    }
    Ok(())
}

/// Hash of everything that a set follows from. Of local files that is their length and time, not their content.
fn set_name(request: &Request, sources: &[Source]) -> Result<String, AcquireError> {
    let mut parts = vec![format!("seed {}", request.seed)];
    for source in sources {
        let commit = source.commit.as_deref().unwrap_or("none");
        parts.push(format!("{} {commit} {} {} {:?}", source.name, source.quota, source.column, source.limits));
        for file in &source.files {
            parts.push(match file {
                FileOf::Hub(_, entry) => format!("{} {}", entry.path, entry.size),
                FileOf::Local(path, _) => {
                    let about = fs::metadata(path).map_err(|source| LocalError::Io { path: path.clone(), source })?;
                    format!("{} {} {:?}", path.display(), about.len(), about.modified().ok())
                }
            });
        }
    }
    let hash = hex::encode(sha256(&[TAG, parts.join("\n").as_bytes()]));
    Ok(hash.get(..32).unwrap_or_default().to_owned())
}
