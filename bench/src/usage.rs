//! CPU time and memory of processes, from `/proc`.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::Duration,
};

use anyhow::Context;

/// Linux counts a process' time for others in ticks of 10 ms on every machine
/// (`USER_HZ` is part of its interface).
const TICK: Duration = Duration::from_millis(10);

/// CPU time used so far, that of ended and reaped children included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// By the processes asked for.
    pub ours: Duration,
    /// By all others, this process left out. (The sums in `/proc/stat` are
    /// sampled, and miss short work.)
    others: Duration,
}

impl Cpu {
    /// What these processes and all their descendants have used, and all others.
    pub fn of(roots: &[u32]) -> anyhow::Result<Self> {
        let processes = processes()?;
        let mut watched: HashSet<u32> = HashSet::new();
        let mut todo = roots.to_vec();
        while let Some(pid) = todo.pop() {
            if watched.insert(pid) {
                todo.extend(
                    processes.iter().filter(|(_, process)| process.parent == pid).map(|(child, _)| *child),
                );
            }
        }
        let (mut ours, mut others) = (0, 0);
        for (pid, process) in &processes {
            if watched.contains(pid) {
                ours += process.ticks;
            } else if *pid != std::process::id() {
                others += process.ticks;
            }
        }
        Ok(Self { ours: time(ours), others: time(others) })
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            ours: self.ours.saturating_sub(earlier.ours),
            others: self.others.saturating_sub(earlier.others),
        }
    }

    /// Cores that other programs kept busy at the same time.
    pub fn others(self, meanwhile: Duration) -> f64 {
        self.others.as_secs_f64() / meanwhile.as_secs_f64().max(0.001)
    }

    /// Milliseconds of our processes for each of `n`.
    pub fn ms_each(self, n: usize) -> f64 {
        self.ours.as_secs_f64() * 1000.0 / n as f64
    }
}

/// CPU time of the first thread of a process, to the nanosecond. What was taken away from
/// it, by other programs or by the host of a virtual machine, does not count.
pub fn first_thread(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat"))
        .with_context(|| format!("process {pid} has ended"))?;
    Ok(Duration::from_nanos(ran(&stat)))
}

/// Nanoseconds that a thread ran, of its `schedstat`.
fn ran(stat: &str) -> u64 {
    stat.split_whitespace().next().and_then(|ran| ran.parse().ok()).unwrap_or(0)
}

/// CPU time of all threads of one process, to the nanosecond where ticks are
/// too coarse. Threads that have ended are missing.
pub fn threads(pid: u32) -> anyhow::Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let mut nanoseconds = 0;
    for thread in fs::read_dir(&folder).with_context(|| format!("process {pid} has ended"))? {
        // A thread may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += ran(&stat);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

struct Process {
    parent: u32,
    ticks: u64,
}

fn processes() -> anyhow::Result<HashMap<u32, Process>> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").context("/proc cannot be read: this bench needs Linux")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(process) = read(&stat) {
            processes.insert(pid, process);
        }
    }
    Ok(processes)
}

/// Takes `/proc/PID/stat` apart. The program's name may hold blanks and
/// brackets, so fields are counted from behind its last bracket.
fn read(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = [11, 12, 13, 14].into_iter().filter_map(number).sum();
    Some(Process { parent: number(1)?.try_into().ok()?, ticks })
}

fn time(ticks: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// Memory of one process.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now, MB.
    pub now: f64,
    /// The most that was ever resident, MB.
    pub peak: f64,
}

impl Memory {
    /// Reads `VmRSS` and `VmHWM`.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} has ended before its memory was read"))?;
        let mb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok().map(|kb| kb / 1024.0)
        };
        Ok(Self { now: mb("VmRSS").context("no VmRSS")?, peak: mb("VmHWM").context("no VmHWM")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "12 (a b) (c)) S 7 1 1 0 -1 4 0 0 0 0 20 12 6 4 20 0 1 0";
        let process = read(stat).unwrap();
        assert_eq!((process.parent, process.ticks), (7, 42));
    }

    #[test]
    fn our_own_threads_have_used_time() {
        assert!(threads(std::process::id()).unwrap() > Duration::ZERO);
        let first = first_thread(std::process::id()).unwrap();
        assert!(first > Duration::ZERO && first <= threads(std::process::id()).unwrap());
    }

    #[test]
    fn our_own_memory_is_readable() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.now > 0.0 && memory.peak >= memory.now);
    }
}
