//! `cargo xtask setup`: libtorch and the small models, from PyPI into the user's cache folder, linked
//! into the checkout.
//!
//! Rules: done already means done in milliseconds; interrupted means run it again; what the user
//! brings (`LIBTORCH`, `LIBTORCH_USE_PYTORCH`, a `.libtorch` or `.models` of their own) wins.

mod error;
mod fetch;
mod install;
mod link;
mod screen;
mod tools;
mod wheels;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, path};

use crate::checkout::Checkout;
use crate::clock::Stopwatch;
pub(crate) use error::SetupError;
use install::Cache;
use link::Found;
use wheels::{Component, LIBTORCH_CPU, LIBTORCH_CUDA, MINILM, SMOLLM2};

/// What to set up.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Bring libtorch with all CUDA libraries (3 GB to download) instead of the one for CPUs.
    #[arg(long)]
    cuda: bool,
    /// Go back from CUDA to the libtorch for CPUs.
    #[arg(long, conflicts_with = "cuda")]
    cpu: bool,
}

/// How much to say when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    Full,
    Quiet,
}

/// Sets up what is missing.
///
/// # Errors
/// A missing tool, a full disk, a refused download; each is one line with the remedy.
pub(crate) fn run(checkout: &Checkout, options: &Options, talk: Talk) -> Result<(), SetupError> {
    let watch = Stopwatch::start();
    tools::check_compiler()?;
    let cache = Cache::at(cache_folder()?);
    let libtorch = choose_libtorch(checkout, &cache, options)?;
    let mut wanted = vec![&SMOLLM2, &MINILM];
    match libtorch {
        Libtorch::Ours(component) => wanted.insert(0, component),
        Libtorch::Own(ref whose) => {
            // Programs look there first, and would load ours.
            if whose != LINK && link::look(&checkout.libtorch(), cache.root()) == Found::Ours {
                link::remove(&checkout.libtorch())?;
            }
            if talk == Talk::Full {
                eprintln!("libtorch: your own, {whose}");
            }
        }
    }
    if wanted.iter().any(|component| !cache.is_complete(component)) {
        fill(&cache, &wanted)?;
    }
    if let Libtorch::Ours(component) = libtorch {
        link_libtorch(checkout, &cache, component)?;
    }
    let models = checkout.models();
    if link::look(&models, cache.root()) != Found::Own {
        link::point(&models, &cache.root().join("models"))?;
    }
    if talk == Talk::Full {
        for component in wanted {
            eprintln!("{}: ready in {}", component.title, cache.place(component).display());
        }
        eprintln!("set up in {watch}");
    }
    Ok(())
}

/// The user's own link.
const LINK: &str = ".libtorch";

enum Libtorch {
    Ours(&'static Component),
    /// The user's own; says which.
    Own(String),
}

fn choose_libtorch(checkout: &Checkout, cache: &Cache, options: &Options) -> Result<Libtorch, SetupError> {
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return Ok(Libtorch::Own("python3's PyTorch: LIBTORCH_USE_PYTORCH is set".into()));
    }
    if checkout.own_libtorch() {
        let path = PathBuf::from(env::var_os("LIBTORCH").unwrap_or_default());
        let library = format!("lib/{}torch_cpu{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        if !path.join(library).is_file() {
            return Err(SetupError::OwnLibtorch { path, version: wheels::LIBTORCH });
        }
        return Ok(Libtorch::Own(format!("{}: LIBTORCH is set", path.display())));
    }
    let link = checkout.libtorch();
    let linked = link::look(&link, cache.root());
    if linked == Found::Own && !options.cuda && !options.cpu {
        return Ok(Libtorch::Own(LINK.into()));
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        let (os, arch) = (env::consts::OS, env::consts::ARCH);
        return Err(SetupError::Platform { os, arch, version: wheels::LIBTORCH });
    }
    let on_cuda = fs::read_link(&link).is_ok_and(|target| target == cache.place(&LIBTORCH_CUDA));
    let cuda = options.cuda || (on_cuda && !options.cpu);
    Ok(Libtorch::Ours(if cuda { &LIBTORCH_CUDA } else { &LIBTORCH_CPU }))
}

/// Installs what is missing, one run at a time on a machine.
fn fill(cache: &Cache, wanted: &[&Component]) -> Result<(), SetupError> {
    fs::create_dir_all(cache.root()).map_err(SetupError::files("cannot make", cache.root()))?;
    let path = cache.root().join(".lock");
    let lock = File::create(&path).map_err(SetupError::files("cannot write", &path))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another setup to finish");
        lock.lock().map_err(SetupError::files("cannot lock", &path))?;
    }
    cache.sweep();
    for component in wanted {
        if !cache.is_complete(component) {
            tools::check_python()?;
            eprintln!("{}", component.title);
            cache.install(component)?;
        }
    }
    Ok(())
}

fn link_libtorch(checkout: &Checkout, cache: &Cache, component: &Component) -> Result<(), SetupError> {
    let link = checkout.libtorch();
    let before = fs::read_link(&link).ok();
    let turned = link::point(&link, &cache.place(component))?;
    if turned && before.is_some() {
        // The same path now leads to other libraries, which cargo cannot see.
        let cleaned = checkout.cargo().args(["clean", "-p", "torch-sys"]).stderr(Stdio::null()).status();
        if !cleaned.is_ok_and(|status| status.success()) {
            eprintln!("warning: libtorch has changed: run `cargo clean -p torch-sys` before the next build");
        }
    }
    Ok(())
}

/// `$TROUPE_CACHE`, else `$XDG_CACHE_HOME/troupe`, else `~/.cache/troupe`.
fn cache_folder() -> Result<PathBuf, SetupError> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = cache_from(set("TROUPE_CACHE"), set("XDG_CACHE_HOME"), set("HOME")).ok_or(SetupError::NoCache)?;
    path::absolute(&folder).map_err(SetupError::files("no such place as", &folder))
}

fn cache_from(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    // The XDG standard asks to ignore a relative path.
    let xdg = xdg.filter(|path| path.is_absolute()).map(|path| path.join("troupe"));
    own.or(xdg).or_else(|| home.map(|home| home.join(Path::new(".cache/troupe"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_names_the_cache() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(cache_from(path("/t"), path("/x"), path("/h")), path("/t"));
        assert_eq!(cache_from(None, path("/x"), path("/h")), path("/x/troupe"));
        assert_eq!(cache_from(None, path("relative"), path("/h")), path("/h/.cache/troupe"));
        assert_eq!(cache_from(None, None, None), None);
    }
}
