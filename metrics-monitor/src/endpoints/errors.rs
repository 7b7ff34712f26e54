//! Single errors and groups of errors, all of them or those that a query asks for.

use std::cmp::Reverse;

use metrics_core::{ErrorGroup, ErrorGroups, Outcome, RecentError, Window};
use metrics_export::json::{ErrorGroupsBody, ErrorsBody};

use super::answer::Answer;
use super::query::ErrorFilter;
use super::work::{Asked, Task};
use crate::state::State;

/// Groups in an answer, unless the request says otherwise.
const DEFAULT_GROUPS: usize = 100;

/// Errors in a filtered answer at most.
const MAX_LISTED: usize = 256;

/// `GET errors`: the last errors; with a filter, those that match, and the examples of the groups that match.
pub(crate) fn errors(Asked { mut query, .. }: Asked) -> Result<Task, String> {
    let window = query.window()?;
    let filter = query.errors()?;
    Ok(Task::shared((window, filter.clone()), move |state| {
        Answer::success(match (window, filter.is_empty()) {
            (None, true) => errors_of(state),
            _ => filtered(state, window.unwrap_or(Window::SinceReset), &filter),
        })
    }))
}

/// The last errors.
pub(crate) fn errors_of(State { registry, .. }: &State) -> ErrorsBody {
    ErrorsBody::new(&registry.recent_errors(), &registry.errors_missing())
}

fn filtered(State { registry, history, .. }: &State, window: Window, filter: &ErrorFilter) -> ErrorsBody {
    let ErrorGroups { groups, since, .. } = history.error_groups(window);
    let groups = groups.into_iter().filter(|group| filter.allows_group(group));
    let examples = groups.flat_map(|group| group.examples);
    let both = registry.recent_errors().into_iter().chain(examples);
    let mut listed: Vec<_> = both.filter(|error| error.time >= since && filter.allows(error)).collect();
    listed.sort_by_key(|error| Reverse(error.time));
    // An example that the log has, too, has the same time.
    listed.dedup();
    listed.truncate(MAX_LISTED);
    ErrorsBody::new(&listed, &registry.errors_missing())
}

/// `GET errors/groups`: errors by endpoint, status and message template.
pub(crate) fn groups(Asked { mut query, .. }: Asked) -> Result<Task, String> {
    let window = query.window_or(Window::SinceReset)?;
    let (filter, top) = (query.errors()?, query.top_or(DEFAULT_GROUPS)?);
    Ok(Task::shared((window, filter.clone(), top), move |state| {
        let mut groups = state.history.error_groups(window);
        groups.groups.retain(|group| filter.allows_group(group));
        Answer::success(ErrorGroupsBody::new(&groups, top))
    }))
}

/// The groups of a window with the most errors.
pub(super) fn groups_of(state: &State, window: Window, top: usize) -> ErrorGroupsBody {
    ErrorGroupsBody::new(&state.history.error_groups(window), top)
}

impl ErrorFilter {
    fn allows(&self, error: &RecentError) -> bool {
        let RecentError { endpoint, outcome, .. } = error;
        self.allows_endpoint(&endpoint.method, &endpoint.route)
            && self.allows_outcome(*outcome)
            && self.group.is_none_or(|id| id == ErrorGroup::id_of(error))
            && self.consumer.as_deref().is_none_or(|name| error.details.consumer.as_deref() == Some(name))
    }

    fn allows_group(&self, group: &ErrorGroup) -> bool {
        let ErrorGroup { id, endpoint, outcome, consumers, .. } = group;
        self.allows_endpoint(&endpoint.method, &endpoint.route)
            && self.allows_outcome(*outcome)
            && self.group.is_none_or(|wanted| wanted == *id)
            && self.consumer.as_deref().is_none_or(|name| consumers.iter().any(|(known, _)| &**known == name))
    }

    fn allows_endpoint(&self, method: &str, route: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.route.as_deref().is_none_or(|wanted| wanted == route)
    }

    fn allows_outcome(&self, outcome: Outcome) -> bool {
        self.status.is_none_or(|statuses| statuses.include(outcome))
    }
}
