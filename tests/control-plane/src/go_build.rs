//! Builds the programs from the Go modules pinned in `assets/go.mod`, once per machine, into the user's cache.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    Error, Result,
    assets::{PROGRAMS, missing},
    cache,
    process::{Launch, Supervised},
    progress::Progress,
};

const ENVIRONMENT: [(&str, &str); 4] = [("CGO_ENABLED", "0"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "-mod=readonly"), ("GOWORK", "off")];

/// The folder of the built programs.
pub(crate) fn find_or_build() -> Result<PathBuf> {
    let module = Module::read()?;
    let go = go_version(&module)?;
    let cache = cache::root()?;
    let folder = cache.join(module.key(&go));
    if missing(&folder).is_empty() {
        return Ok(folder);
    }
    let _only_one_builds = lock(&cache.join("build.lock"))?;
    if !missing(&folder).is_empty() {
        build(&module, &cache, &folder)?;
    }
    Ok(folder)
}

/// What `assets/` says.
struct Module {
    folder: PathBuf,
    contents: String,
    needed_go: String,
    kubernetes: String,
}

impl Module {
    fn read() -> Result<Module> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let read = |name: &str| {
            let file = folder.join(name);
            fs::read_to_string(&file).map_err(Error::io(format!("read {}", file.display())))
        };
        let go_mod = read("go.mod")?;
        let word_after = |line: &str| {
            let words = go_mod.lines().find_map(|candidate| candidate.trim().strip_prefix(line));
            let word = words.and_then(|words| words.split_whitespace().next()).map(str::to_owned);
            word.ok_or_else(|| Error::GoMod { file: folder.join("go.mod"), line: line.to_owned() })
        };
        Ok(Module {
            needed_go: word_after("go ")?,
            kubernetes: word_after("k8s.io/kubernetes v")?,
            contents: format!("{go_mod}\n{}", read("go.sum")?),
            folder,
        })
    }

    /// Names what is built: the readable versions, and a hash of all that the outcome depends on.
    fn key(&self, go: &str) -> String {
        let hash = fnv1a(&format!("{}\n{go}\n{}", self.contents, self.linker_flags()));
        let go_number = go.split_whitespace().nth(2).unwrap_or("go");
        format!("v{}-{go_number}-{hash:016x}", self.kubernetes)
    }

    /// Small programs that know their version; `kubectl version` fails on the placeholder that a plain build has.
    fn linker_flags(&self) -> String {
        let version = &self.kubernetes;
        let mut numbers = version.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let stamps = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].map(|package| {
            format!(
                " -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
                 -X {package}.gitCommit=go-module -X {package}.gitTreeState=clean \
                 -X {package}.buildDate=1970-01-01T00:00:00Z"
            )
        });
        format!("-s -w{}", stamps.concat())
    }
}

/// What `go version` prints, if that Go will do.
fn go_version(module: &Module) -> Result<String> {
    let needed = module.needed_go.clone();
    let output = Command::new("go").arg("version").current_dir(&module.folder).envs(ENVIRONMENT).output();
    let printed = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(output) => {
            let problem = format!("`go version` fails: {}", String::from_utf8_lossy(&output.stderr).trim());
            return Err(Error::Go { problem, needed });
        }
        Err(error) => return Err(Error::Go { problem: format!("Go was not found ({error})"), needed }),
    };
    if is_at_least(&printed, &needed) {
        Ok(printed)
    } else {
        Err(Error::Go { problem: format!("Go is too old (`go version` says: {printed})"), needed })
    }
}

/// Whether `go version go1.26.8 linux/amd64` is at least `1.26.0`. A development version counts as new enough.
fn is_at_least(printed: &str, needed: &str) -> bool {
    let Some(found) = printed.split_whitespace().nth(2).and_then(|word| word.strip_prefix("go")) else {
        return printed.contains("devel");
    };
    let numbers =
        |version: &str| -> Vec<u32> { version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect() };
    numbers(found) >= numbers(needed)
}

/// Waits for, then holds the lock until the returned file is dropped, or the process ends.
fn lock(path: &Path) -> Result<File> {
    let what = || format!("lock {}", path.display());
    let file = File::create(path).map_err(Error::io(what()))?;
    if file.try_lock().is_err() {
        eprintln!("Waiting for another process that builds the Kubernetes test control plane ...");
        file.lock().map_err(Error::io(what()))?;
    }
    Ok(file)
}

fn build(module: &Module, cache: &Path, folder: &Path) -> Result<()> {
    // Fixed name: the lock is held, so whatever is there was left behind by a build that did not finish.
    let staging = cache.join("building");
    let log = cache.join("build.log");
    for leftover in [&staging, folder] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(Error::io(format!("remove {}", leftover.display())))?;
        }
    }
    fs::create_dir_all(&staging).map_err(Error::io(format!("create {}", staging.display())))?;
    if log.exists() {
        fs::remove_file(&log).map_err(Error::io(format!("remove {}", log.display())))?;
    }
    let mut progress = Progress::begin(PROGRAMS.len());
    for (program, package) in PROGRAMS {
        progress.next(program);
        build_one(module, &staging.join(program), package, &log, &mut progress)?;
    }
    fs::rename(&staging, folder).map_err(Error::io(format!("rename {} to {}", staging.display(), folder.display())))?;
    progress.done(folder);
    Ok(())
}

fn build_one(module: &Module, target: &Path, package: &str, log: &Path, progress: &mut Progress) -> Result<()> {
    let args: Vec<OsString> = vec![
        "build".into(),
        "-trimpath".into(),
        "-ldflags".into(),
        module.linker_flags().into(),
        "-o".into(),
        target.into(),
        package.into(),
    ];
    let env = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut go = Supervised::spawn(Launch {
        name: "go build",
        program: Path::new("go"),
        args,
        env: env.to_vec(),
        folder: Some(&module.folder),
        log: log.to_owned(),
    })?;
    loop {
        match go.exit_code()? {
            Some(0) => return Ok(()),
            Some(code) => {
                progress.interrupt();
                return Err(go.exited_with(code));
            }
            None => progress.tick(),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// 64-bit FNV-1a: the same on every machine and with every compiler, which the standard library's hasher is not.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_compare_by_number() {
        for new_enough in ["go version go1.26.0 linux/amd64", "go version go1.27rc1 x", "go version devel +abc x"] {
            assert!(is_at_least(new_enough, "1.26.0"), "{new_enough}");
        }
        for too_old in ["go version go1.9.7 linux/amd64", "go version go1.25.9 linux/amd64", ""] {
            assert!(!is_at_least(too_old, "1.26.0"), "{too_old}");
        }
    }

    #[test]
    fn the_key_depends_on_modules_and_go() {
        let mut module = Module::read().unwrap();
        let key = module.key("go version go1.26.8 linux/amd64");
        assert!(key.starts_with(&format!("v{}-go1.26.8-", module.kubernetes)), "{key}");
        assert_ne!(key, module.key("go version go1.26.9 linux/amd64"));
        module.contents.push('x');
        assert_ne!(key, module.key("go version go1.26.8 linux/amd64"));
    }
}
