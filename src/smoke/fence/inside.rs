//! What a program sees from inside a fence, and what it may do.
//!
//! An Envoy sees its own folder as `/cell`, itself, the C library and five
//! devices; no `/proc`, no `/sys`, no `/etc`. A script sees the system's
//! programs and libraries besides, which can't be written to. Neither has a
//! right, gains one, or grows beyond its limits.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs as unix;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, UnshareFlags, remove_capability_from_bounding_set, set_no_new_privs,
};

use super::wire::{Ground, Order, Program};
use super::{CELL, INNER, ROOT, warden};

/// Where the Envoy is.
const ENVOY: &str = "/envoy";
/// What every program may open.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// What Envoy is linked with: glibc's parts, and its loader.
const LIBRARIES: [&str; 9] = [
    "libc.so.6",
    "libm.so.6",
    "librt.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "libgcc_s.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];
/// Where they lie.
const LIBRARY_FOLDERS: [&str; 6] =
    ["/lib64", "/lib", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
/// What scripts and their interpreters need of the system.
const SYSTEM: [&str; 11] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/nix",
    "/etc/alternatives",
    "/etc/ssl",
    "/etc/ld.so.cache",
];
/// The open files of who looks.
const OPEN_FILES: &str = "/proc/self/fd";
/// Threads and processes of all programs of one fence.
const MAX_PROCESSES: u64 = 512;
/// Open files and connections of one program.
const MAX_FILES: u64 = 8192;

/// Closes the process in; after it, only `exec` is left to do.
pub(super) fn close(ground: &Ground, program: &Program) -> io::Result<()> {
    let is_script = *program != Program::Envoy || begins_as_script(&ground.binary);
    warden::unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // The first to go when memory is short.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let root = Root(ground.folder.join(ROOT));
    root.build(ground, is_script)?;
    root.enter()?;
    limit(ground)?;
    give_up_rights()
}

/// The program, as it is called inside.
pub(super) fn command(ground: &Ground, order: &Order) -> Command {
    let path = match &order.program {
        Program::Envoy => ENVOY.to_owned(),
        Program::Script(path) => format!("{CELL}/{path}"),
    };
    let mut command = Command::new(path);
    command.args(&order.args).current_dir(CELL).env_clear().envs(order.env.iter().cloned());
    if ground.root {
        command.uid(ground.user).gid(ground.user);
    }
    command
}

fn begins_as_script(path: &Path) -> bool {
    let mut start = [0; 2];
    let read = File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && &start == b"#!"
}

/// The root to be.
struct Root(PathBuf);

impl Root {
    fn build(&self, ground: &Ground, is_script: bool) -> io::Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("fence", &self.0, "tmpfs", flags, Some(c"size=1m,mode=755"))?;
        self.bind(&ground.folder.join(INNER), CELL, false)?;
        self.bind(&ground.binary, ENVOY, true)?;
        for device in DEVICES {
            let device = format!("/dev/{device}");
            self.bind_device(&device)?;
        }
        let streams = match is_script {
            true => self.add_system()?,
            false => {
                self.add_libraries()?;
                None
            }
        };
        for (number, stream) in ["stdin", "stdout", "stderr"].into_iter().enumerate() {
            // Without `/proc`, what is written there is kept with the rest.
            let file = match streams {
                Some(streams) => format!("{streams}/{number}"),
                None => format!("{CELL}/{stream}"),
            };
            unix::symlink(file, self.at(&format!("/dev/{stream}")))?;
        }
        mount_remount(&self.0, flags | MountFlags::RDONLY, c"")
            .or_else(|_| remount_read_only(&self.0))
    }

    fn add_libraries(&self) -> io::Result<()> {
        for folder in LIBRARY_FOLDERS {
            for library in LIBRARIES {
                let path = format!("{folder}/{library}");
                if Path::new(&path).exists() {
                    self.bind(Path::new(&path), &path, true)?;
                }
            }
        }
        Ok(())
    }

    /// Gives the folder of a process's open files, where there is one.
    fn add_system(&self) -> io::Result<Option<&'static str>> {
        for path in SYSTEM {
            let Ok(found) = fs::symlink_metadata(path) else { continue };
            if found.is_symlink() {
                self.make_parent(path)?;
                unix::symlink(fs::read_link(path)?, self.at(path))?;
            } else {
                self.bind(Path::new(path), path, true)?;
            }
        }
        unix::symlink(CELL, self.at("/tmp"))?;
        self.add_processes()
    }

    /// Only processes, nothing of the machine. Where the kernel doesn't let
    /// us, scripts do without.
    fn add_processes(&self) -> io::Result<Option<&'static str>> {
        let target = self.at("/proc");
        fs::create_dir(&target)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        if mount("proc", &target, "proc", flags, Some(c"subset=pid")).is_err() {
            return Ok(None);
        }
        unix::symlink(OPEN_FILES, self.at("/dev/fd"))?;
        Ok(Some(OPEN_FILES))
    }

    fn bind(&self, from: &Path, to: &str, read_only: bool) -> io::Result<()> {
        self.make_parent(to)?;
        let target = self.at(to);
        if from.is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            File::create(&target)?;
        }
        mount_bind_recursive(from, &target)?;
        match read_only {
            true => remount_read_only(&target),
            false => remount(&target, MountFlags::empty()),
        }
    }

    fn bind_device(&self, path: &str) -> io::Result<()> {
        self.make_parent(path)?;
        File::create(self.at(path))?;
        Ok(mount_bind_recursive(path, self.at(path))?)
    }

    fn make_parent(&self, path: &str) -> io::Result<()> {
        self.at(path).parent().map_or(Ok(()), fs::create_dir_all)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The old root lies under the new one for a moment, then it is gone.
    fn enter(&self) -> io::Result<()> {
        std::env::set_current_dir(&self.0)?;
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        std::env::set_current_dir("/")
    }
}

fn remount_read_only(target: &Path) -> io::Result<()> {
    remount(target, MountFlags::RDONLY)
}

/// A user namespace may not take away the flags that a mount came with.
fn remount(target: &Path, more: MountFlags) -> io::Result<()> {
    let had = u32::try_from(statvfs(target)?.f_flag.bits()).unwrap_or_default();
    let lockable = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let kept = MountFlags::from_bits_truncate(had) & lockable;
    let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV | kept | more;
    Ok(mount_remount(target, flags, c"")?)
}

fn limit(ground: &Ground) -> io::Result<()> {
    let limits = [
        (Resource::Core, 0),
        (Resource::Data, ground.memory),
        (Resource::Fsize, ground.file),
        (Resource::Nproc, MAX_PROCESSES),
        (Resource::Nofile, MAX_FILES),
    ];
    for (resource, most) in limits {
        let had = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = Some(most.min(had));
        setrlimit(resource, Rlimit { current: most, maximum: most })?;
    }
    Ok(())
}

/// Without a bounding set, not even root gets a right by `exec`.
fn give_up_rights() -> io::Result<()> {
    for right in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(right) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(set_no_new_privs(true)?)
}
