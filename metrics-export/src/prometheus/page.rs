//! Where a format writes: a buffer, and what it takes over from the last scrape instead of writing it again.
//!
//! Series are written in *parts*: all series of one family that are of one endpoint and, for durations, of one class. A
//! part has the [`Version`] of what it shows. While that stays the same, so do its bytes.

use std::time::SystemTime;

use metrics_core::{Exemplar, TraceId, Version};

use super::known_labels::KnownLabels;

/// The output of one scrape.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// What is written, without the parts that are taken over.
    pub(crate) out: &'a mut Vec<u8>,
    /// `None` if nothing is kept from one series to the next.
    pub(crate) known_labels: Option<&'a mut KnownLabels>,
    plan: Option<&'a mut Plan>,
    family: Mark,
}

/// What a scrape took over from the text of the one before, and its parts for the next one. One scrape after the other
/// uses the same memory.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Up to `next` those of this scrape, and from there on those of the one before.
    parts: Vec<Part>,
    next: usize,
    /// Those of this scrape's parts that have one, in the same order.
    exemplars: Vec<Shown>,
    exemplars_before: Vec<Shown>,
    /// How many of `exemplars_before` belong to parts whose turn has come.
    exemplars_passed: usize,
    splices: Vec<Splice>,
    /// Bytes of all splices.
    taken_over: usize,
    /// Bytes of all parts that did not change, taken over or not.
    unchanged: usize,
    mode: Mode,
    /// The number of the family.
    family: u8,
}

/// What becomes of parts that did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// They are written again, over the last text.
    #[default]
    Rewrite,
    /// They are taken over.
    Splice,
}

/// Bytes of the last text that belong into what was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Splice {
    /// The place in what was written.
    pub(super) at: usize,
    /// The place in the last text.
    pub(super) from: usize,
    pub(super) len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    /// `None` if nobody knows when it changes.
    version: Option<Version>,
    has_exemplar: bool,
    family: u8,
    /// Where it begins in the whole text.
    begin: u32,
    len: u32,
}

/// What is written of an exemplar.
type Shown = (TraceId, u64, SystemTime);

/// Where a family begins.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// In what is written.
    out: usize,
    /// In the whole text.
    position: usize,
    parts: usize,
    splices: usize,
}

impl<'a> Page<'a> {
    /// A page that takes nothing over.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        Self { out, known_labels: None, plan: None, family: Mark::default() }
    }

    /// A page that takes over what did not change since the last scrape with the same plan.
    pub(crate) fn with(out: &'a mut Vec<u8>, plan: &'a mut Plan) -> Self {
        plan.begin();
        Self { plan: Some(plan), ..Self::new(out) }
    }

    /// The same page, which escapes the labels of each endpoint once. `known` is for nothing else than its memory.
    pub(crate) fn with_labels(self, known: &'a mut KnownLabels) -> Self {
        known.clear();
        Self { known_labels: Some(known), ..self }
    }

    /// The length of the text so far.
    pub(crate) fn position(&self) -> usize {
        self.out.len() + self.plan.as_ref().map_or(0, |plan| plan.taken_over)
    }

    /// Begins a family.
    pub(crate) fn begin_family(&mut self) {
        let (out, position) = (self.out.len(), self.position());
        let (mut parts, mut splices) = (0, 0);
        if let Some(plan) = &mut self.plan {
            plan.family = plan.family.wrapping_add(1);
            (parts, splices) = (plan.next, plan.splices.len());
        }
        self.family = Mark { out, position, parts, splices };
    }

    /// Removes a family that has only its head.
    pub(crate) fn remove_family(&mut self) {
        self.out.truncate(self.family.out);
    }

    /// The length of the family so far.
    pub(crate) fn family_len(&self) -> usize {
        self.position() - self.family.position
    }

    /// Takes the last `len` written bytes away from the family's end, and puts them in front of the family.
    pub(crate) fn move_in_front(&mut self, len: usize) {
        self.out[self.family.out..].rotate_right(len);
        if let Some(plan) = &mut self.plan {
            plan.parts[self.family.parts..plan.next].iter_mut().for_each(|part| part.begin += len as u32);
            plan.splices[self.family.splices..].iter_mut().for_each(|splice| splice.at += len);
        }
    }

    /// Takes over the next part if it is the same as in the last text. Returns whether it was.
    pub(crate) fn take_over(&mut self, version: Option<Version>, exemplar: Option<&Exemplar>) -> bool {
        let at = self.out.len();
        self.plan.as_mut().is_some_and(|plan| plan.take_over(at, version, exemplar.map(shown)))
    }

    /// Ends a part that was written, and that began at this position.
    pub(crate) fn end_part(&mut self, begin: usize, version: Option<Version>, exemplar: Option<&Exemplar>) {
        let len = self.position() - begin;
        if let Some(plan) = &mut self.plan {
            plan.push(version, exemplar.map(shown), begin, len);
        }
    }
}

fn shown(exemplar: &Exemplar) -> Shown {
    (exemplar.trace, exemplar.nanos, exemplar.time)
}

impl Plan {
    /// Begins a scrape: what was written in the last one is now before.
    fn begin(&mut self) {
        std::mem::swap(&mut self.exemplars, &mut self.exemplars_before);
        self.exemplars.clear();
        self.splices.clear();
        (self.next, self.exemplars_passed, self.taken_over, self.unchanged, self.family) = (0, 0, 0, 0, 0);
    }

    /// How this scrape does it.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Ends a scrape with a text of this length. If less than half of it was new, the next one takes over the rest.
    /// Otherwise, that is hardly less work than to write everything, and needs a second buffer.
    pub(super) fn end(&mut self, len: usize) {
        self.parts.truncate(self.next);
        if self.parts.capacity() > self.next + self.next / 4 {
            self.parts.shrink_to(self.next + self.next / 8);
        }
        self.mode = if self.unchanged > len / 2 { Mode::Splice } else { Mode::Rewrite };
    }

    /// Parts are compared by their place: a new one moves those behind it, which are written again.
    fn take_over(&mut self, at: usize, version: Option<Version>, exemplar: Option<Shown>) -> bool {
        let Some(&before) = self.parts.get(self.next) else { return false };
        let mut exemplar_before = None;
        if before.has_exemplar {
            exemplar_before = self.exemplars_before.get(self.exemplars_passed).copied();
        }
        let same = (before.version, before.family, exemplar_before) == (version, self.family, exemplar);
        if !same || version.is_none() {
            return false;
        }
        let (from, len) = (before.begin as usize, before.len as usize);
        self.unchanged += len;
        if self.mode == Mode::Rewrite {
            return false;
        }
        self.push(version, exemplar, at + self.taken_over, len);
        match self.splices.last_mut() {
            Some(last) if last.at == at && last.from + last.len == from => last.len += len,
            _ => self.splices.push(Splice { at, from, len }),
        }
        self.taken_over += len;
        true
    }

    fn push(&mut self, version: Option<Version>, exemplar: Option<Shown>, begin: usize, len: usize) {
        let (begin, len) = (begin as u32, len as u32);
        let has_exemplar = exemplar.is_some();
        let part = Part { version, has_exemplar, family: self.family, begin, len };
        match self.parts.get_mut(self.next) {
            Some(before) => {
                let before = std::mem::replace(before, part);
                self.exemplars_passed += usize::from(before.has_exemplar);
            }
            None => self.parts.push(part),
        }
        self.next += 1;
        self.exemplars.extend(exemplar);
    }

    /// What the last scrape took over.
    pub(super) fn splices(&self) -> &[Splice] {
        &self.splices
    }

    /// The bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let exemplars = self.exemplars.capacity() + self.exemplars_before.capacity();
        self.parts.capacity() * size_of::<Part>()
            + exemplars * size_of::<Shown>()
            + self.splices.capacity() * size_of::<Splice>()
    }
}
