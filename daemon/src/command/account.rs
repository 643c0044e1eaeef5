//! Commands on accounts and app passwords, executed on the open store for whoever sits at the
//! machine.

use anyhow::{Context, bail};
use store::{Access, Actor, Admission, NewAppPassword, NewUser, Path, Store, UserId, World};

use super::{Password, Removal, Reply, UserChange, reply};
use crate::moment::rfc3339;

/// How many accounts one statement of a listing reads.
const PAGE: u32 = 500;

pub async fn add(
    store: &Store,
    name: String,
    email: Option<String>,
    quota_bytes: Option<u64>,
    admin: bool,
    password: &Password,
) -> anyhow::Result<Reply> {
    let new = NewUser {
        username: Some(name),
        email,
        password: store::Password::new(password.reveal()),
        access: access(admin),
        quota_bytes,
    };
    let user = store
        .register(new, Admission::By(Actor::Console), None)
        .await?;
    Ok(Reply::User(shown(&user)))
}

pub async fn list(store: &Store) -> anyhow::Result<Reply> {
    let mut users = Vec::new();
    let mut after: Option<UserId> = None;
    loop {
        let page = store.user_list(Actor::Console, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(Reply::Users(users));
        };
        after = Some(last.id);
        users.extend(page.iter().map(shown));
    }
}

pub async fn show(store: &Store, name: &str) -> anyhow::Result<Reply> {
    Ok(Reply::User(shown(&find(store, name).await?)))
}

pub async fn set(store: &Store, name: &str, change: UserChange) -> anyhow::Result<Reply> {
    let user = find(store, name).await?;
    let change = store::UserChange {
        username: change.name,
        quota_bytes: change.quota_bytes,
        access: change.admin.map(access),
        password: change
            .password
            .map(|password| store::Password::new(password.reveal())),
        email: change.email.map(Some),
        ..store::UserChange::default()
    };
    let user = store
        .user_set(Actor::Console, user.id, change, None)
        .await?;
    Ok(Reply::User(shown(&user)))
}

pub async fn remove(store: &Store, name: &str, dry_run: bool) -> anyhow::Result<Reply> {
    let user = find(store, name).await?;
    if !dry_run {
        store
            .user_remove(
                Actor::Console,
                user.id,
                store::TagCondition::default(),
                None,
            )
            .await?;
    }
    Ok(Reply::Removal(Removal {
        name: user.username,
        files: user.usage.files,
        bytes: user.usage.used_bytes,
        dry_run,
    }))
}

pub async fn add_app_password(
    store: &Store,
    user: &str,
    label: String,
    path: Option<String>,
    read_only: bool,
    expires_in_ms: Option<u64>,
) -> anyhow::Result<Reply> {
    let user = find(store, user).await?;
    let path = path.as_deref().map(Path::parse).transpose()?;
    let expires_at = expires_in_ms
        .map(|ms| i64::try_from(ms).context("the password would never expire"))
        .transpose()?
        .map(|ms| World::default().now_ms().saturating_add(ms));
    let new = NewAppPassword {
        name: label,
        path: path.filter(|path| !path.is_root()),
        read_only,
        expires_at,
    };
    let (made, password) = store
        .app_password_add(Actor::Console, user.id, new, None)
        .await?;
    Ok(Reply::NewAppPassword {
        app_password: shown_app_password(&made),
        password,
    })
}

pub async fn list_app_passwords(store: &Store, user: &str) -> anyhow::Result<Reply> {
    let user = find(store, user).await?;
    let all = store.app_password_list(Actor::Console, user.id).await?;
    let shown = all.iter().map(shown_app_password).collect();
    Ok(Reply::AppPasswords(shown))
}

pub async fn revoke_app_password(
    store: &Store,
    user: &str,
    id: &str,
    dry_run: bool,
) -> anyhow::Result<Reply> {
    let user = find(store, user).await?;
    let all = store.app_password_list(Actor::Console, user.id).await?;
    let Some(one) = all.into_iter().find(|one| one.id.to_string() == id) else {
        bail!(
            "{} has no app password {id}; `cofferd app-password list` shows them",
            user.username
        );
    };
    let app_password = shown_app_password(&one);
    if !dry_run {
        store
            .app_password_revoke(Actor::Console, user.id, one.id, None)
            .await?;
    }
    Ok(Reply::Revoked {
        app_password,
        dry_run,
    })
}

async fn find(store: &Store, name: &str) -> anyhow::Result<store::User> {
    match store.user_find(Actor::Console, name).await {
        Err(store::Error::NotFound) => {
            bail!("there is no user {name}; `cofferd user list` shows all")
        }
        found => Ok(found?),
    }
}

fn access(admin: bool) -> Access {
    if admin {
        Access::Administrator
    } else {
        Access::User
    }
}

fn shown(user: &store::User) -> reply::User {
    reply::User {
        id: user.id.to_string(),
        name: user.username.clone(),
        email: user.email.clone(),
        admin: user.access == Access::Administrator,
        quota_bytes: user.usage.limit_bytes,
        used_bytes: user.usage.used_bytes,
        created_at: rfc3339(user.created_at),
    }
}

fn shown_app_password(one: &store::AppPassword) -> reply::AppPassword {
    reply::AppPassword {
        id: one.id.to_string(),
        label: one.name.clone(),
        path: one.path.as_ref().map_or("/".to_owned(), Path::to_string),
        read_only: one.read_only,
        created_at: rfc3339(one.created_at),
        expires_at: one.expires_at.map(rfc3339),
        last_used_at: one.last_used_at.map(rfc3339),
    }
}
