//! `holdpoint crds`: the generated CustomResourceDefinitions.

use crate::api::crd_yaml;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write one file a kind into this folder instead of printing
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub(super) fn execute(args: &Args) -> Result<(), String> {
    let files = crd_yaml::all().map_err(|e| e.to_string())?;
    let Some(folder) = &args.output else {
        let text = files.iter().flat_map(|f| ["---\n", &f.yaml]).collect::<String>();
        return match std::io::stdout().write_all(text.as_bytes()) {
            // `holdpoint crds | head` is fine.
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.to_string()),
            _ => Ok(()),
        };
    };
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for file in files {
        let path = folder.join(&file.name);
        fs::write(&path, &file.yaml).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
