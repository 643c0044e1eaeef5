//! From the configuration to the open store.

use anyhow::Context;
use store::{
    AccountOptions, Database, Limits, Options, PoolOptions, Store, TrashOptions, VersionOptions,
    World,
};

use crate::config::Config;
use crate::config::accounts::Registration;
use crate::config::blobs::VerifyReads;

/// Opens the store that `config` names, making or upgrading what is needed.
///
/// # Errors
/// One sentence: the database cannot be reached, is of a newer schema, …
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    Store::open(options(config))
        .await
        .context("cannot open the data")
}

fn options(config: &Config) -> Options {
    let Config {
        blobs,
        accounts,
        capacity,
        limits,
        ..
    } = config;
    Options {
        database: database(config),
        data: config.data.clone(),
        blobs: blobs.path.clone(),
        small_limit_bytes: size(blobs.small_limit_bytes.0),
        verify_reads: match blobs.verify_reads {
            VerifyReads::Off => store::VerifyReads::Off,
            VerifyReads::Daily => store::VerifyReads::Daily,
            VerifyReads::Always => store::VerifyReads::Always,
        },
        limits: Limits {
            property_bytes: size(limits.property_bytes.0),
            properties_bytes: size(limits.properties_per_node_bytes.0),
            drive_nodes: limits.drive_nodes,
            drive_properties_bytes: limits.drive_properties_bytes.0,
            locks_per_user: limits.locks_per_user.into(),
            lock_timeout_s: u32::try_from(limits.lock_max_age.0.as_secs()).unwrap_or(u32::MAX),
            uploads_per_user: size(limits.uploads_per_user.into()),
            upload_max_age: limits.upload_max_age.0,
            change_retention: limits.change_retention.0,
        },
        accounts: AccountOptions {
            registration: match accounts.registration {
                Registration::Open => store::Registration::Open,
                Registration::Invitation => store::Registration::Invitation,
                Registration::Closed => store::Registration::Closed,
            },
            default_quota_bytes: accounts.default_quota.0,
            login_idle: accounts.login_idle.0,
            password_checks: size(accounts.password_checks.into()),
            credential_cache: accounts.credential_cache.0,
            failures_per_account: accounts.failures_per_account,
            failures_per_address: accounts.failures_per_address,
            ..AccountOptions::default()
        },
        versions: VersionOptions {
            retention: config.versions.retention.0,
            most: config.versions.most,
            interval: config.versions.interval.0,
        },
        trash: TrashOptions {
            retention: config.trash.retention.0,
            most: config.trash.most,
        },
        capacity_bytes: capacity.limit_bytes.map(|bytes| bytes.0),
        overcommit: capacity.overcommit,
        reserve_bytes: capacity.reserve_bytes.0,
        sweep_grace: blobs.sweep_grace.0,
        world: World::default(),
    }
}

fn database(config: &Config) -> Database {
    let database = &config.database;
    if let Some(path) = database.sqlite_path() {
        return Database::Sqlite(path);
    }
    match &database.url {
        None => Database::Sqlite(config.data.join("coffer.db")),
        Some(url) => Database::Postgres {
            url: url.reveal().to_owned(),
            pool: PoolOptions {
                size: database.pool_size + database.pool_overflow,
                acquire_timeout: database.acquire_timeout.0,
                recycle_after: Some(database.recycle.0),
                pre_ping: database.pre_ping,
            },
        },
    }
}

/// A number of bytes or things in memory.
pub(crate) fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
