use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder with a host's root in it, and something outside of that; removed with it.
struct Scene(PathBuf);

impl Scene {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = std::env::temp_dir().join(format!("holdpoint-root-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(folder.join("root/etc")).unwrap();
        fs::write(folder.join("outside"), "secret").unwrap();
        fs::write(folder.join("root/etc/hosts"), "text").unwrap();
        Self(folder)
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.0.join("root").join(path)
    }

    fn root(&self) -> Root {
        Root::open(&self.0.join("root")).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn nothing_leads_out_of_the_root() {
    let scene = Scene::new();
    let outside = scene.0.join("outside");
    symlink(&outside, scene.inside("absolute")).unwrap();
    symlink("../outside", scene.inside("relative")).unwrap();
    symlink("../../outside", scene.inside("etc/deep")).unwrap();
    symlink("/etc/shadow", scene.inside("shadow")).unwrap();
    symlink("..", scene.inside("up")).unwrap();
    symlink("/", scene.inside("top")).unwrap();
    let root = scene.root();
    for path in ["/absolute", "/relative", "/etc/deep", "/shadow", "/../outside", "/etc/../../outside", "/up/outside", "/top/outside"] {
        assert_eq!(root.look(path), Err(Unseen::Absent), "{path}");
        assert_eq!(root.file_system(path).err(), Some(Unseen::Absent), "{path}");
        assert_eq!(root.text(path, 10), Err(Unseen::Absent), "{path}");
    }
    // Within the root links work, and begin at the root.
    symlink("/etc/hosts", scene.inside("link")).unwrap();
    for path in ["/link", "/top/etc/hosts", "/up/up/etc/hosts", "/etc/hosts"] {
        assert_eq!(root.look(path).unwrap().kind, FileType::RegularFile, "{path}");
    }
}

#[test]
fn links_of_proc_that_lead_anywhere_are_not_followed() {
    let root = Root::open(Path::new("/")).unwrap();
    assert!(root.is_own());
    for path in ["/proc/self/root", "/proc/self/cwd", "/proc/self/exe", "/proc/self/fd/0"] {
        assert!(matches!(root.look(path), Err(Unseen::Links)), "{path}: {:?}", root.look(path));
    }
    // `/proc/self` itself is an ordinary link.
    assert_eq!(root.look("/proc/self/stat").unwrap().kind, FileType::RegularFile);
}

#[test]
fn links_in_a_circle_end() {
    let scene = Scene::new();
    symlink("b", scene.inside("a")).unwrap();
    symlink("a", scene.inside("b")).unwrap();
    assert_eq!(scene.root().look("/a"), Err(Unseen::Links));
}

#[test]
fn pipes_and_sockets_are_looked_at_and_never_read() {
    let scene = Scene::new();
    rustix::fs::mknodat(CWD, scene.inside("pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let _listener = UnixListener::bind(scene.inside("socket")).unwrap();
    let root = scene.root();
    assert_eq!(root.look("/pipe").unwrap().kind, FileType::Fifo);
    assert_eq!(root.look("/socket").unwrap().kind, FileType::Socket);
    for path in ["/pipe", "/socket", "/etc"] {
        assert_eq!(root.text(path, 10), Err(Unseen::NotAFile), "{path}");
    }
    let (_kept, path) = root.socket("/socket").unwrap();
    std::os::unix::net::UnixStream::connect(path).unwrap();
    assert_eq!(root.socket("/etc/hosts").err(), Some(Unseen::Absent));
}

#[test]
fn mode_and_owner_are_those_of_what_a_link_leads_to() {
    let scene = Scene::new();
    fs::set_permissions(scene.inside("etc/hosts"), Permissions::from_mode(0o4640)).unwrap();
    symlink("etc/hosts", scene.inside("link")).unwrap();
    let look = scene.root().look("/link").unwrap();
    assert_eq!((look.mode, look.uid), (0o4640, rustix::process::getuid().as_raw()));
    assert!(scene.root().file_system("/").unwrap().f_blocks > 0);
}

#[test]
fn texts_are_bounded_and_must_be_text() {
    let scene = Scene::new();
    fs::write(scene.inside("long"), "x".repeat(100)).unwrap();
    fs::write(scene.inside("binary"), [0xff, 0xfe]).unwrap();
    assert_eq!(scene.root().text("/long", 10).unwrap().len(), 10);
    assert_eq!(scene.root().text("/binary", 10), Err(Unseen::NotText));
    assert_eq!(scene.root().text("/etc/hosts/x", 10), Err(Unseen::Absent));
}
