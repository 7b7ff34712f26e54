//! Names the container that sends, in the headers of Datadog's own tracers, so that the Agent finds the container's
//! tags even where the connection does not tell.
//!
//! As in `libdd-common/src/entity_id` of github.com/DataDog/libdatadog: the id is the last part of a path in
//! `/proc/self/cgroup`. In a namespace of its own a container does not see that path, and sends the inode of its cgroup.

use std::fs;
use std::path::{Path, PathBuf};

const CGROUP: &str = "/proc/self/cgroup";
const MOUNT: &str = "/sys/fs/cgroup";
const NAMESPACE: &str = "/proc/self/ns/cgroup";

/// The inode of the host's own namespace (`PROC_CGROUP_INIT_INO` in `linux/proc_ns.h`).
const HOST_NAMESPACE: u64 = 0xEFFF_FFFB;

/// The controller whose path counts in version 1 of cgroups. Version 2 has no name there.
const CONTROLLER: &str = "memory";

/// The longest file of cgroups that is read, in bytes.
const MAX_CGROUP: usize = 64 << 10;

/// The headers that identify the container; none outside of a container.
pub(super) fn headers() -> Vec<(&'static str, String)> {
    let cgroup = fs::read(CGROUP).unwrap_or_default();
    let cgroup = String::from_utf8_lossy(&cgroup[..cgroup.len().min(MAX_CGROUP)]);
    let is_host = || inode(Path::new(NAMESPACE)).is_none_or(|inode| inode == HOST_NAMESPACE);
    let inode = || node(&cgroup, Path::new(MOUNT)).filter(|_| !is_host()).and_then(|node| inode(&node));
    headers_of(container_id(&cgroup), inode)
}

fn headers_of(id: Option<&str>, inode: impl FnOnce() -> Option<u64>) -> Vec<(&'static str, String)> {
    let entity = id.map(|id| format!("ci-{id}")).or_else(|| inode().map(|inode| format!("in-{inode}")));
    let id = id.map(|id| ("Datadog-Container-ID", id.to_owned()));
    id.into_iter().chain(entity.map(|entity| ("Datadog-Entity-ID", entity))).collect()
}

#[cfg(unix)]
fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

#[cfg(not(unix))]
fn inode(_: &Path) -> Option<u64> {
    None
}

/// The first id of a container in a file of cgroups.
fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (_, path) = rest.split_once(':')?;
        is(number, |c| c.is_ascii_digit()).then(|| last_id(path.trim_end_matches(' ')))?
    })
}

/// The id at the end of a path, where `.scope` may follow, also with one more part of the path.
fn last_id(path: &str) -> Option<&str> {
    let is_part = |rest: &str| rest.strip_prefix('/').is_some_and(|part| is(part, |c| !"/ \t".contains(c)));
    let path = match path.rsplit_once(".scope") {
        Some((before, rest)) if rest.is_empty() || is_part(rest) => before,
        _ => path,
    };
    let of_groups = |lengths: &[usize]| ending_in_groups(path, lengths);
    of_groups(&[8, 4, 4, 4, 12])
        .or_else(|| of_groups(&[8, 4, 4, 4, 4]).filter(|id| !id.contains('_')))
        .or_else(|| of_groups(&[64]))
        .or_else(|| task(path))
}

/// The end of a text, if it is groups of lower-case hexadecimal digits of these lengths, with `-` or `_` between them.
fn ending_in_groups<'a>(text: &'a str, lengths: &[usize]) -> Option<&'a str> {
    let length = lengths.iter().sum::<usize>() + lengths.len() - 1;
    let end = text.get(text.len().checked_sub(length)?..)?;
    let groups: Vec<_> = end.split(['-', '_']).collect();
    let is_of = |(group, length): (&&str, &usize)| group.len() == *length && is(group, is_hex);
    (groups.len() == lengths.len() && groups.iter().zip(lengths).all(is_of)).then_some(end)
}

/// The id of a task in Amazon's ECS: 32 digits, `-`, and a number.
fn task(path: &str) -> Option<&str> {
    let (before, number) = path.rsplit_once('-')?;
    let id = ending_in_groups(before, &[32]).filter(|_| is(number, |c| c.is_ascii_digit()))?;
    path.get(before.len() - id.len()..)
}

/// The path of the cgroup in the file system of cgroups.
fn node(cgroup: &str, mount: &Path) -> Option<PathBuf> {
    let entries = cgroup.lines().filter_map(|line| {
        let mut parts = line.split(':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some((controllers, path.trim_start_matches('/')))
    });
    let of = |name: &str| {
        let has = |controllers: &str| controllers.split(',').any(|controller| controller == name);
        entries.clone().find(|(controllers, _)| has(controllers)).map(|(_, path)| mount.join(name).join(path))
    };
    of(CONTROLLER).or_else(|| of(""))
}

fn is(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

fn is_hex(c: char) -> bool {
    matches!(c, '0'..='9' | 'a'..='f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376";
    const TASK: &str = "34dc0b5e626f2c5c4c5170e34b10e765-1234567890";
    const UUID: &str = "34dc0b5e-626f-2c5c-4c51-70e34b10e765";

    #[test]
    fn the_id_of_a_container_is_the_end_of_a_path_in_its_cgroup() {
        for (line, id) in [
            (format!("13:name=systemd:/docker/{ID}"), Some(ID)),
            (format!("13:name=systemd:/docker/{ID}   "), Some(ID)),
            (format!("11:devices:/kubepods.slice/kubepods-pod97f1ae73_7ad9_11ec.slice/{ID}"), Some(ID)),
            (format!("1:name=systemd:/kubepods.slice/docker-{ID}.scope"), Some(ID)),
            (format!("0::/machine.slice/libpod-{ID}.scope/container"), Some(ID)),
            (format!("0::/a:b/{ID}"), Some(ID)),
            (format!("1:name=systemd:/ecs/{TASK}"), Some(TASK)),
            (format!("1:name=systemd:/uuid/{UUID}"), Some(UUID)),
            (format!("1:x:/{}", UUID.replace('-', "_")), Some("34dc0b5e_626f_2c5c_4c51_70e34b10e765")),
            (
                "10:freezer:/garden/6f265890-5165-7fab-6b52-18d1".to_owned(),
                Some("6f265890-5165-7fab-6b52-18d1"),
            ),
            (format!("x:name=systemd:/docker/{ID}"), None),
            (format!("/docker/{ID}"), None),
            (format!("1:a:/docker/{}", &ID[1..]), None),
            (format!("1:a:/docker/{}", ID.to_uppercase()), None),
            (format!("1:a:/docker/{ID}.scope/a/b"), None),
            ("0::/user.slice/user-0.slice/session-14.scope".to_owned(), None),
            ("0::/é-1".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(container_id(&line), id, "{line}");
            assert_eq!(container_id(&format!("0::/init.scope\n{line}\n")), id, "{line}");
        }
    }

    #[test]
    fn the_cgroup_of_version_1_is_that_of_memory_and_of_version_2_the_unnamed_one() {
        for (cgroup, path) in [
            ("0::/", Some("/cgroup/")),
            ("0::/custom/path", Some("/cgroup/custom/path")),
            ("0::/\n4:cpu,memory:/user.slice\n", Some("/cgroup/memory/user.slice")),
            ("3:cpu:/a", None),
            ("0::/a:b", None),
            ("", None),
        ] {
            assert_eq!(node(cgroup, Path::new("/cgroup")).as_deref(), path.map(Path::new), "{cgroup}");
        }
    }

    #[test]
    fn a_container_is_named_by_its_id_or_else_by_its_inode() {
        let named = |id, inode: Option<u64>| headers_of(id, || inode);
        let (id, entity) = (("Datadog-Container-ID", "x".to_owned()), "Datadog-Entity-ID");
        assert_eq!(named(Some("x"), Some(7)), [id, (entity, "ci-x".to_owned())]);
        assert_eq!(named(None, Some(7)), [(entity, "in-7".to_owned())]);
        assert_eq!(named(None, None), []);
    }
}
