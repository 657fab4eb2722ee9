//! What the kernel tells of this process: how much memory it may have, and how much it had.

use std::fs;
use std::path::Path;

use etl::config::ResourceConfig;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const BESIDE_MEMORY_BYTES: u64 = ResourceConfig::BESIDE_MEMORY_BYTES;

/// The most memory that this process held; `None` where the kernel does not tell.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Tells whether whoever started this process has it ignore SIGHUP.
pub(crate) fn ignores_hangup() -> bool {
    // The first of the signals.
    const HANGUP: u64 = 1;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & HANGUP != 0)
}

/// Has as many files open at once as whoever started this process permits, and says how many those are; `None` where
/// there is no limit.
pub(crate) fn open_files_max() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where it can't be raised, what there is must do.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let most = if raised.is_ok() { maximum } else { current };
    most.and_then(|most| usize::try_from(most).ok())
}

/// A line of warning, if fewer pages than this may have a connection open.
pub(crate) fn open_files_warning(concurrency: usize, resources: &ResourceConfig) -> Option<String> {
    let (most, pages) = (resources.open_files_max?, resources.open_pages_max());
    (pages < concurrency).then(|| {
        format!(
            "warning: {most} files may be open at once (ulimit -n), so at most {pages} requests are in flight, not \
             {concurrency}"
        )
    })
}

/// A line of warning, if the control group allows less memory than a run with this ceiling may take.
pub(crate) fn memory_warning(memory_bytes: u64) -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limit_bytes = limit_of(&groups, |path| fs::read_to_string(path).ok())?;
    let needed_bytes = memory_bytes.saturating_add(BESIDE_MEMORY_BYTES);
    (limit_bytes < needed_bytes).then(|| {
        let mib = |bytes: u64| bytes >> 20;
        format!(
            "warning: the control group allows {} MiB of memory, but --memory and what comes beside it are {} MiB; \
             lower --memory to {}MiB or the kernel may end the run",
            mib(limit_bytes),
            mib(needed_bytes),
            mib(limit_bytes).saturating_sub(mib(BESIDE_MEMORY_BYTES))
        )
    })
}

/// The least limit of the control groups that `groups` (the text of `/proc/self/cgroup`) names, and of those
/// around them. Both versions of control groups are looked at; "max" is no limit.
fn limit_of(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // In a container the path may be the host's, of which only the top is to be seen.
        let inner = Path::new(group.trim_start_matches('/'));
        inner
            .ancestors()
            .filter_map(|group| read(&Path::new(root).join(group).join(file))?.trim().parse().ok())
            .collect()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_limit_of_all_groups_around_the_process_counts() {
        let limit = |groups: &str, files: &[(&str, &str)]| {
            limit_of(groups, |path| {
                let found = files.iter().find(|(name, _)| Path::new(name) == path);
                found.map(|(_, text)| (*text).to_owned())
            })
        };
        let version_2 = [
            ("/sys/fs/cgroup/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "300\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
        ];
        assert_eq!(limit("0::/a/b\n", &version_2), Some(300));
        assert_eq!(limit("0::/\n", &version_2), None);
        let version_1 = [
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "500\n"),
        ];
        assert_eq!(limit("5:cpu:/job\n4:memory:/job\n0::/\n", &version_1), Some(500));
        assert_eq!(limit("4:memory:/elsewhere\n", &version_1), Some(9_223_372_036_854_771_712));
        assert_eq!(limit("", &version_1), None);
    }

    #[test]
    fn peak_is_what_this_process_held() {
        assert!(peak_rss_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }
}
