//! `just bench-data`: how fast texts are read, on one thread, and with how much memory. Exit code 1 when a target is missed.
//!
//! The files are made on the spot: words of the built-in corpus in random order, about 4 KB a text, so that a compressor finds about what it
//! finds in prose. Times are processor time of the thread, so that a busy machine does not count.

use std::{
    env,
    error::Error,
    fs,
    ops::ControlFlow,
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
};

use ml_sidecar::{
    corpus::{self, Topic},
    data::{DataAcquisition, Format, Request, TextFile},
    hub::{Hub, HubArgs, LocalFile},
};
use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use rustix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn Error>>;

const GROUPS: u64 = 16;
const TEXTS_OF_A_GROUP: u64 = 4_000;
const WORDS_OF_A_TEXT: usize = 650;
/// Asked for: bytes of text a second, and resident bytes beyond those before.
const SPEED_LEAST: f64 = 50e6;
const MEMORY_MOST: u64 = 200 << 20;

fn words() -> Vec<String> {
    let texts = Topic::ALL.into_iter().flat_map(|topic| (0..200).map(move |index| corpus::text(1, topic, index)));
    let mut words: Vec<String> = texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    words.sort();
    words.dedup();
    words
}

/// Seeded, and far from random: enough for prose.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // Twice, the smaller: some words are frequent.
        let (one, two) = ((self.0 >> 33) as usize % bound, (self.0 as u32) as usize % bound);
        one.min(two)
    }
}

fn write(path: &Path, compression: Compression, words: &[String]) -> Outcome<u64> {
    let schema = Arc::new(parse_message_type("message schema { required binary text (UTF8); }")?);
    let properties = WriterProperties::builder().set_compression(compression).set_dictionary_enabled(false).build();
    let mut writer = SerializedFileWriter::new(fs::File::create(path)?, schema, Arc::new(properties))?;
    let (mut dice, mut bytes) = (Dice(0x9e37_79b9_7f4a_7c15), 0);
    for _ in 0..GROUPS {
        let mut group = writer.next_row_group()?;
        let mut column = group.next_column()?.ok_or("no column")?;
        for _ in 0..TEXTS_OF_A_GROUP {
            let text: Vec<&str> = (0..WORDS_OF_A_TEXT).map(|_| words[dice.below(words.len())].as_str()).collect();
            let text = text.join(" ");
            bytes += text.len() as u64;
            column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(text.into_bytes())], None, None)?;
        }
        column.close()?;
        group.close()?;
    }
    writer.close()?;
    Ok(bytes)
}

/// Processor time of all threads, seconds.
fn processor_time() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// A line of /proc/self/status, bytes.
fn memory(line: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|found| found.strip_prefix(line)).ok_or("no such line")?;
    Ok(found.split_whitespace().next().ok_or("no number")?.parse::<u64>()? << 10)
}

/// One way of reading, in a process of its own: what the writer's memory was must not hide the reader's.
fn part(way: &str, path: &Path, folder: &Path) -> Outcome<()> {
    let (memory_before, time_before) = (memory("VmRSS:")?, processor_time());
    let bytes = match way {
        "read" => read(path)?,
        _ => acquire(folder, path)?,
    };
    let (seconds, memory) = (processor_time() - time_before, memory("VmHWM:")?.saturating_sub(memory_before));
    println!("{bytes} {seconds} {memory}");
    Ok(())
}

/// Bytes of text, seconds, resident bytes beyond those before.
fn measured(way: &str, path: &Path, folder: &Path) -> Outcome<(u64, f64, u64)> {
    let output = Command::new(env::current_exe()?).arg(way).arg(path).arg(folder).output()?;
    let said = String::from_utf8(output.stdout)?;
    let mut numbers = said.split_whitespace();
    let mut next = || numbers.next().ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned());
    Ok((next()?.parse()?, next()?.parse()?, next()?.parse()?))
}

fn read(path: &Path) -> Outcome<u64> {
    let file = TextFile::open(Arc::new(LocalFile::open(path)?), Format::Parquet, "text")?;
    let mut bytes = 0;
    for part in 0..file.parts().ok_or("no parts")? {
        bytes += file.read(part, &mut |_| ControlFlow::Continue(()))?.bytes;
    }
    Ok(bytes)
}

/// Read, filtered, hashed, and written as a set.
fn acquire(folder: &Path, path: &Path) -> Outcome<u64> {
    let args = HubArgs { hf_hub_offline: true, hf_home: Some(folder.join("none")), ..HubArgs::default() };
    let acquisition = DataAcquisition::new(Hub::new(&args, folder, 1 << 30)?, folder, 8 << 30);
    let set = acquisition.acquire(&Request { files: vec![path.to_owned()], ..Request::default() }, &mut |_| {})?;
    let (about, texts) = (set.about(), GROUPS * TEXTS_OF_A_GROUP);
    if about.count != texts {
        return Err(format!("{} of {texts} texts were kept", about.count).into());
    }
    Ok(about.contributions.iter().map(|contribution| contribution.read_bytes).sum())
}

fn main() -> Outcome<ExitCode> {
    let args: Vec<String> = env::args().collect();
    if let [_, way, path, folder] = args.as_slice() {
        part(way, path.as_ref(), folder.as_ref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir()?;
    let (words, mut met) = (words(), true);
    println!("| what | speed | target | memory | target | met |\n| --- | --- | --- | --- | --- | --- |");
    for (name, compression) in [("zstd", Compression::ZSTD(ZstdLevel::try_new(3)?)), ("snappy", Compression::SNAPPY)] {
        let path = folder.path().join(format!("{name}.parquet"));
        let written = write(&path, compression, &words)?;
        let ratio = written as f64 / fs::metadata(&path)?.len() as f64;
        let ways = [
            ("read", format!("parquet, {name} ({:.0} MB of text, {ratio:.1} times the file): read", written as f64 / 1e6)),
            ("acquire", "the same, filtered, hashed and kept as a set".to_owned()),
        ];
        for (way, what) in ways {
            let (bytes, seconds, memory) = measured(way, &path, folder.path())?;
            if bytes != written {
                return Err(format!("{bytes} bytes of text, written were {written}").into());
            }
            let speed = bytes as f64 / seconds;
            let yes = speed >= SPEED_LEAST && memory <= MEMORY_MOST;
            met &= yes;
            let (speed, least, yes) = (speed / 1e6, SPEED_LEAST / 1e6, if yes { "yes" } else { "**NO**" });
            let (memory, most) = (memory >> 20, MEMORY_MOST >> 20);
            println!("| {what} | {speed:.0} MB/s | >= {least:.0} | {memory} MiB | <= {most} | {yes} |");
        }
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
