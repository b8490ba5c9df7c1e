//! A Slurm of one node for a test, in a temporary folder and on ports of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The scheduler; it ends with this value.
pub struct Slurm {
    folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Slurm {
    /// A running scheduler; `None`, said aloud, where Slurm is not installed or this user may not run it.
    pub fn start() -> Option<Slurm> {
        let missing = ["munged", "slurmctld", "slurmd", "sbatch"].into_iter().find(|name| !is_there(name));
        if let Some(missing) = missing {
            println!("NOT TESTED: {missing} is not installed");
            return None;
        }
        // SAFETY: it only asks.
        if unsafe { libc::geteuid() } != 0 {
            println!("NOT TESTED: only root may run slurmd");
            return None;
        }
        let mut slurm = Slurm { folder: tempfile::tempdir().unwrap(), daemons: Vec::new() };
        slurm.munge();
        slurm.scheduler();
        Some(slurm)
    }

    /// A command that finds this scheduler.
    pub fn tell(&self, command: &mut Command) {
        command.env("SLURM_CONF", self.path("slurm.conf"));
    }

    /// What one of its commands prints.
    pub fn ask(&self, name: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(name);
        self.tell(&mut command);
        let output = command.args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The service that Slurm's daemons trust each other by.
    fn munge(&mut self) {
        let (key, socket) = (self.path("munge.key"), self.path("munge.socket"));
        std::fs::write(&key, (0..1024u32).map(|at| (at * 167 % 251) as u8).collect::<Vec<_>>()).unwrap();
        private(&key);
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut munged = Command::new("munged");
        munged.arg("--foreground").arg("--force").arg(option("key-file", &key)).arg(option("socket", &socket));
        munged.arg(option("log-file", &self.path("munged.log"))).arg(option("pid-file", &self.path("munged.pid")));
        munged.arg(option("seed-file", &self.path("munged.seed")));
        self.start_daemon(munged);
        until("munge answers", || socket.exists());
    }

    fn scheduler(&mut self) {
        let host = String::from_utf8(Command::new("hostname").arg("-s").output().unwrap().stdout).unwrap();
        let (host, folder) = (host.trim(), self.folder.path().display().to_string());
        let [controller, node] = [free_port(), free_port()];
        let settings = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
             SlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nAuthInfo=socket={folder}/munge.socket\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\nReturnToService=2\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSchedulerParameters=sched_interval=2\n\
             StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\n\
             SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd.log\n\
             SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN\n\
             PartitionName=main Nodes={host} Default=YES State=UP\n"
        );
        std::fs::write(self.path("slurm.conf"), settings).unwrap();
        for name in ["state", "spool"] {
            std::fs::create_dir(self.path(name)).unwrap();
        }
        for name in ["slurmctld", "slurmd"] {
            let mut daemon = Command::new(name);
            daemon.arg("-D").arg("-f").arg(self.path("slurm.conf"));
            self.start_daemon(daemon);
        }
        until("the node is idle", || self.ask("sinfo", &["--noheader", "--format=%T"]).trim() == "idle");
    }

    fn start_daemon(&mut self, mut daemon: Command) {
        let child = daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.daemons.push(child);
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            // SAFETY: it is a child that nobody has waited for.
            unsafe { libc::kill(daemon.id() as i32, libc::SIGTERM) };
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(5) && daemon.try_wait().is_ok_and(|ended| ended.is_none()) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// Waits for something that must come.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(120), "waiting until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_there(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
