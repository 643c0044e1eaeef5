//! `/admin`: what administrators see and set of the whole server.

use std::time::Duration;

use api::{
    AuditLine, Capacity, ConfiguredSettings, Job, Page, Party, ServerUsage, Settings,
    SettingsChange, Stored, UsageParts, UserUsage,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use store::{Actor, AuditAction, AuditFilter, AuditId, Error, Registration, UserId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Asked, Part, PartQuery, whole};
use super::users::usage;
use super::{AppState, Authenticated, Client, IfMatch, Json, Path, Tagged};
use crate::jobs;
use crate::moment::rfc3339;
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(settings, change_settings))
        .routes(routes!(audit))
        .routes(routes!(server_usage))
        .routes(routes!(usage_of_users))
        .routes(routes!(list_jobs))
        .routes(routes!(run_job))
}

/// Shows what can be set while the server runs.
#[utoipa::path(
    get,
    path = "/admin/settings",
    tag = "administration",
    operation_id = "show_settings",
    responses(
        (status = 200, body = Settings, headers(("ETag" = String))),
        (status = 403, description = "forbidden")
    )
)]
async fn settings(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Tagged<Settings>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let settings = state.store().settings(actor).await?;
    Ok(Tagged(settings.etag(), shown(&state, settings)))
}

/// Changes settings of the running server; what is absent stays.
///
/// `If-Match` is understood.
#[utoipa::path(
    patch,
    path = "/admin/settings",
    tag = "administration",
    operation_id = "change_settings",
    request_body = SettingsChange,
    responses(
        (status = 200, body = Settings, headers(("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "limit_exceeded")
    )
)]
async fn change_settings(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    IfMatch(when): IfMatch,
    Json(change): Json<SettingsChange>,
) -> Result<Tagged<Settings>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let registration = match change.registration {
        Some(Some(word)) => Some(Some(Registration::parse(&word)?)),
        Some(None) => Some(None),
        None => None,
    };
    let change = store::SettingsChange {
        registration,
        default_quota_bytes: change.default_quota_bytes,
        when,
    };
    let store = state.store();
    let settings = store.change_settings(actor, change, peer.known()).await?;
    Ok(Tagged(settings.etag(), shown(&state, settings)))
}

fn shown(state: &AppState, settings: store::Settings) -> Settings {
    let configured = state.store().configured_settings();
    Settings {
        registration: settings.registration.to_string(),
        default_quota_bytes: settings.default_quota_bytes,
        configured: ConfiguredSettings {
            registration: configured.registration.to_string(),
            default_quota_bytes: configured.default_quota_bytes,
        },
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Items in one part; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
    /// The id of an account: what it did, and what was done to it.
    #[param(format = "uuid")]
    account: Option<String>,
    /// An action, such as `user.quota`.
    #[param(example = "user.quota")]
    action: Option<String>,
}

/// Says who did what to whose account, the newest first.
#[utoipa::path(
    get,
    path = "/admin/audit",
    tag = "administration",
    operation_id = "list_audit",
    params(AuditQuery),
    responses(
        (status = 200, body = Page<AuditLine>),
        (status = 403, description = "forbidden"),
        (status = 422, description = "invalid_fields")
    )
)]
async fn audit(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<AuditQuery>,
) -> Result<Json<Page<AuditLine>>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let part = Part::new(query.limit, query.cursor.as_deref(), |cursor| {
        cursor.parse::<AuditId>().ok()
    })?;
    let account = query.account.map(|id| {
        id.parse::<UserId>().map_err(|_| Error::Invalid {
            field: "account",
            reason: "is no id of an account".to_owned(),
        })
    });
    let filter = AuditFilter {
        account: account.transpose()?,
        action: query
            .action
            .map(|action| AuditAction::parse(&action))
            .transpose()?,
    };
    let store = state.store();
    let lines = store.audit(actor, filter, part.after, part.asked()).await?;
    Ok(part.page(lines, |line| line.id.to_string(), audit_line))
}

fn audit_line(line: &store::AuditLine) -> AuditLine {
    let unless_empty = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    AuditLine {
        id: line.id.to_string(),
        at: rfc3339(line.at),
        action: line.action.clone(),
        by: line.by.as_ref().map(party),
        account: line.account.as_ref().map(party),
        subject: unless_empty(&line.subject),
        detail: unless_empty(&line.detail),
        address: line.address.clone(),
    }
}

pub(super) fn party(party: &store::Party) -> Party {
    Party {
        id: party.id.to_string(),
        username: party.username.clone(),
    }
}

/// Says how full the server is.
#[utoipa::path(
    get,
    path = "/admin/usage",
    tag = "administration",
    operation_id = "show_server_usage",
    responses((status = 200, body = ServerUsage), (status = 403, description = "forbidden"))
)]
async fn server_usage(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<ServerUsage>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let found = state.store().server_usage(actor).await?;
    let (capacity, stored) = (found.capacity, found.stored);
    Ok(Json(ServerUsage {
        capacity: Capacity {
            limit_bytes: capacity.limit_bytes,
            used_bytes: capacity.used_bytes,
            reserved_bytes: capacity.reserved_bytes,
            free_bytes: found.free_bytes(),
        },
        parts: UsageParts {
            live_bytes: found.live_bytes(),
            published_bytes: found.parts.published_bytes,
            versions_bytes: found.parts.versions_bytes,
            trash_bytes: found.parts.trash_bytes,
        },
        stored: Stored {
            blobs: stored.blobs,
            size_bytes: stored.size_bytes,
            unreferenced_bytes: stored.unreferenced_bytes,
        },
        disk_free_bytes: found.disk_free_bytes,
        disk_reserve_bytes: found.disk_reserve_bytes,
        deduplication_ratio: found.deduplication_ratio(),
        users: found.users,
        files: found.files,
    }))
}

/// Says how full each drive is, the fullest first.
#[utoipa::path(
    get,
    path = "/admin/usage/users",
    tag = "administration",
    operation_id = "list_usage_of_users",
    params(PartQuery),
    responses((status = 200, body = Page<UserUsage>), (status = 403, description = "forbidden"))
)]
async fn usage_of_users(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<UserUsage>>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let part: Part<UsageCursor> = query.part()?;
    let after = part
        .after
        .as_ref()
        .map(|after| (after.used_bytes, after.user));
    let store = state.store();
    let users = store.user_list_by_usage(actor, after, part.asked()).await?;
    let cursor = |user: &store::User| format!("{}_{}", user.usage.used_bytes, user.id);
    Ok(part.page(users, cursor, |user| UserUsage {
        id: user.id.to_string(),
        username: user.username.clone(),
        usage: usage(&user.usage),
    }))
}

/// Where a list by usage goes on: `BYTES_ID`.
struct UsageCursor {
    used_bytes: u64,
    user: UserId,
}

impl std::str::FromStr for UsageCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (used_bytes, user) = text.split_once('_').ok_or(())?;
        Ok(Self {
            used_bytes: used_bytes.parse().map_err(|_| ())?,
            user: user.parse().map_err(|_| ())?,
        })
    }
}

/// Lists the background jobs of the daemon that answers.
#[utoipa::path(
    get,
    path = "/admin/jobs",
    tag = "administration",
    operation_id = "list_jobs",
    responses((status = 200, body = Page<Job>), (status = 403, description = "forbidden"))
)]
async fn list_jobs(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<Page<Job>>, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    state.store().require_administrator(actor).await?;
    Ok(whole(state.jobs.list().iter().map(job)))
}

/// Has a job run now; it is not waited for.
#[utoipa::path(
    post,
    path = "/admin/jobs/{name}/run",
    tag = "administration",
    operation_id = "run_job",
    params(("name" = String, Path, description = "The job.", example = "sweep")),
    responses((status = 202, body = Job), (status = 403, description = "forbidden"))
)]
async fn run_job(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let actor = Actor::try_from(&who.caller)?;
    let index = jobs::find(&name).ok_or_else(Problem::not_found)?;
    let name = state.jobs.show(index).name;
    let store = state.store();
    store.note_job_run(actor, name, peer.known()).await?;
    state.jobs.wake(index);
    let job = Json(job(&state.jobs.show(index)));
    Ok((StatusCode::ACCEPTED, job).into_response())
}

fn job(job: &jobs::Job) -> Job {
    let seen = job.seen;
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let result = |well| if well { "done" } else { "failed" };
    Job {
        name: job.name.to_owned(),
        every_s: job.period.as_secs(),
        running: seen.running,
        last_run_at: seen.started_at.map(rfc3339),
        last_duration_ms: seen.ended.map(|(took, _)| millis(took)),
        last_result: seen.ended.map(|(_, well)| result(well).to_owned()),
        next_run_at: seen.next_at.map(rfc3339),
    }
}
