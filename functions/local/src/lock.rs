use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

/// Held while this process is the only one on a data folder: what an earlier one left unfinished can then be taken up at once.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Creates the folder if it is not there, and locks it. A process that is killed leaves no lock behind.
    pub(crate) fn take(folder: &Path) -> Result<Self, String> {
        let told = |error: io::Error| format!("cannot use the data folder {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(told)?;
        let file = File::create(folder.join("lock")).map_err(told)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("another errand runs on {}; stop it, or choose another folder with --data", folder.display()))
            }
            Err(TryLockError::Error(error)) => Err(told(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path()).unwrap();
        assert!(Lock::take(folder.path()).err().unwrap().starts_with("another errand runs on "));
        drop(held);
        assert!(Lock::take(folder.path()).is_ok());
    }
}
