use std::{io, path::PathBuf};

use errand_core::{Objects, StorageError, Timestamp};
use tokio::fs;

/// Arguments that are too large for the queue, as files in one folder for each lifetime.
#[derive(Clone)]
pub(crate) struct Files(PathBuf);

/// How long the files of each lifetime are kept if nobody deletes them, in days: as the deployment template's rules.
const LIFETIMES: [(&str, i64); 2] = [("soon", 30), ("late", 400)];

impl Files {
    /// The files in a folder, which is made; those whose time is over are deleted.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        let now = Timestamp::now().seconds();
        for (lifetime, days) in LIFETIMES {
            let folder = folder.join(lifetime);
            std::fs::create_dir_all(&folder)?;
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
                if i64::try_from(age.as_secs()).unwrap_or(now) > days * 24 * 60 * 60 {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(Self(folder))
    }
}

impl Objects for Files {
    async fn put(&self, key: &str, content: String) -> Result<(), StorageError> {
        // Whole or not at all: what is answered survives a crash.
        let (path, draft) = (self.0.join(key), self.0.join(format!("{key}.draft")));
        fs::write(&draft, content).await.map_err(|error| failed(&error))?;
        fs::File::open(&draft).await.map_err(|error| failed(&error))?.sync_all().await.map_err(|error| failed(&error))?;
        fs::rename(draft, path).await.map_err(|error| failed(&error))
    }

    async fn get(&self, key: &str) -> Result<Option<String>, StorageError> {
        match fs::read_to_string(self.0.join(key)).await {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        match fs::remove_file(self.0.join(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&error)),
            _ => Ok(()),
        }
    }
}

fn failed(error: &io::Error) -> StorageError {
    StorageError(format!("the folder of large arguments: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_keeps_the_contract_of_an_object_store() {
        let folder = tempfile::tempdir().unwrap();
        errand_testkit::objects::conformance(&Files::open(folder.path().to_owned()).unwrap()).await;
    }
}
