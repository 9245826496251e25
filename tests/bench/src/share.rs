//! Lambda's CPU shares: a whole core for init, and a fraction for requests.
//!
//! Lambda gives CPU in proportion to memory, and a whole core at 1769 MB (AWS Lambda Developer Guide, "Configure Lambda
//! function memory"). Init runs on a whole core. So a process is held to its share from its first event on.

use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use crate::aws::wait;

/// The share of a core that a function has after init.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) enum Share {
    #[serde(rename = "a whole core")]
    WholeCore,
    #[serde(rename = "1024 MB")]
    Mb1024,
    #[serde(rename = "256 MB")]
    Mb256,
}

impl Share {
    pub(crate) const ALL: [Self; 3] = [Self::WholeCore, Self::Mb1024, Self::Mb256];

    /// Returns the CPU time in each [`PERIOD`], or `None` for a whole core.
    fn quota(self) -> Option<Duration> {
        let memory = match self {
            Self::WholeCore => return None,
            Self::Mb1024 => 1024,
            Self::Mb256 => 256,
        };
        Some(PERIOD * memory / WHOLE_CORE_MB)
    }
}

const WHOLE_CORE_MB: u32 = 1769;

/// The period of a quota. With the kernel's default of 100 ms, a quota would outlast most cold requests, and hide the
/// cost of the share.
const PERIOD: Duration = Duration::from_millis(20);

/// Holds a process to its share.
pub(crate) enum Throttle {
    Cgroup(PathBuf),
    DutyCycle(DutyCycle),
}

impl Throttle {
    /// Starts to throttle a process, or returns `None` for a whole core.
    pub(crate) fn begin(share: Share, process: Pid) -> Option<Self> {
        let quota = share.quota()?;
        Some(match create_cgroup(quota, process) {
            Ok(cgroup) => Self::Cgroup(cgroup),
            Err(_) => Self::DutyCycle(DutyCycle::begin(quota, process)),
        })
    }

    /// Waits for the process, which must be about to end.
    pub(crate) fn end(self, child: &mut Child) {
        match self {
            Self::Cgroup(cgroup) => {
                let _ = child.wait();
                let _ = fs::remove_dir(cgroup);
            }
            // Stop the signals before the wait: after it, the process ID may belong to another process.
            Self::DutyCycle(cycle) => {
                cycle.end();
                let _ = child.wait();
            }
        }
    }

    /// Returns the mechanism that holds the process, for the report.
    pub(crate) fn means(&self) -> &'static str {
        match self {
            Self::Cgroup(cgroup) if cgroup.join(CPU_MAX).exists() => "cgroup v2, cpu.max",
            Self::Cgroup(_) => "cgroup v1, cpu.cfs_quota_us",
            Self::DutyCycle(_) => "a duty cycle of SIGSTOP and SIGCONT",
        }
    }
}

const CPU_MAX: &str = "cpu.max";

/// Creates a control group for a process.
///
/// # Errors
/// Returns an error if this process may not create control groups.
fn create_cgroup(quota: Duration, process: Pid) -> io::Result<PathBuf> {
    let (quota, period) = (quota.as_micros(), PERIOD.as_micros());
    let files_of_v2 = [(CPU_MAX, format!("{quota} {period}"))];
    let files_of_v1 = [
        ("cpu.cfs_period_us", period.to_string()),
        ("cpu.cfs_quota_us", quota.to_string()),
    ];
    let hierarchies = [
        ("/sys/fs/cgroup", &files_of_v2[..]),
        ("/sys/fs/cgroup/cpu", &files_of_v1[..]),
    ];
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for (hierarchy, files) in hierarchies {
        let cgroup = PathBuf::from(hierarchy).join(format!("rekey-bench-{process}"));
        let created = fs::create_dir(&cgroup).and_then(|()| {
            for (name, content) in files {
                // Open without creating: below a mount of another kind, a plain write would create the file.
                let mut file = fs::OpenOptions::new().write(true).open(cgroup.join(name))?;
                io::Write::write_all(&mut file, content.as_bytes())?;
            }
            fs::write(cgroup.join("cgroup.procs"), process.to_string())
        });
        match created {
            Ok(()) => return Ok(cgroup),
            Err(error) => failed = error,
        }
        let _ = fs::remove_dir(&cgroup);
    }
    Err(failed)
}

/// Lets a process run for its quota, and stops it for the rest of each period. A process that waits loses its quota
/// too, so times are longer than under a control group.
pub(crate) struct DutyCycle {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl DutyCycle {
    fn begin(quota: Duration, process: Pid) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    wait(quota);
                    let _ = kill(process, Signal::SIGSTOP);
                    wait(PERIOD.saturating_sub(quota));
                    let _ = kill(process, Signal::SIGCONT);
                }
            }
        });
        Self { is_over, thread }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Instant;

    use super::*;
    use crate::runtime_api::{cpu_time, pid};

    fn busy_process() -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]).spawn().unwrap()
    }

    /// Returns the share of a core that a process gets while it uses 60 ms of CPU time.
    fn share_of_a_core(process: Pid) -> f64 {
        let used = || cpu_time(process).unwrap();
        let (started, before) = (Instant::now(), used());
        while used().saturating_sub(before) < Duration::from_millis(60) {
            thread::yield_now();
        }
        used().saturating_sub(before).as_secs_f64() / started.elapsed().as_secs_f64()
    }

    #[test]
    fn a_throttled_process_gets_its_share_of_a_core() {
        let mut child = busy_process();
        let throttle = Throttle::begin(Share::Mb256, pid(&child)).unwrap();
        let share = share_of_a_core(pid(&child));
        child.kill().unwrap();
        throttle.end(&mut child);
        assert!(share < 0.25, "{share} instead of 0.145");
    }

    #[test]
    fn a_duty_cycle_holds_a_process_to_its_share() {
        let mut child = busy_process();
        let quota = Share::Mb256.quota().unwrap();
        let cycle = DutyCycle::begin(quota, pid(&child));
        let share = share_of_a_core(pid(&child));
        child.kill().unwrap();
        Throttle::DutyCycle(cycle).end(&mut child);
        assert!(share < 0.25, "{share} instead of 0.145");
    }
}
