//! The JSON words of Coffer: requests, answers and problems, shared by the daemon and its clients.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod admin;
mod app_password;
mod asset;
mod event;
mod file;
mod grant;
mod link;
mod login;
mod page;
mod ping;
mod problem;
mod publication;
mod transfer;
mod trash;
mod upload;
mod user;

pub use self::admin::{
    AuditLine, Capacity, ConfiguredSettings, Job, ServerUsage, Settings, SettingsChange, Stored,
    UsageParts, UserUsage,
};
pub use self::app_password::{AppPassword, AppPasswordMade, NewAppPassword};
pub use self::asset::{
    Asset, AssetAuthor, AssetChange, AssetFile, AssetHit, AssetImage, AssetKind, AssetOffer,
    Author, NewAsset,
};
pub use self::event::{Change, ChangeKind, EndReason, Event};
pub use self::file::{File, FileChange, FileCopy, FileList, NewFolder, Uploaded};
pub use self::grant::{Grant, GrantChange, GrantList, NewGrant, Revoked, Share};
pub use self::link::{
    Link, LinkChange, LinkEntry, LinkFolder, LinkMade, LinkUpload, LinkUploaded, NewLink,
};
pub use self::login::{Login, LoginRequest, LogoutRequest, RefreshRequest, Session, Tokens};
pub use self::page::Page;
pub use self::ping::Ping;
pub use self::problem::Problem;
pub use self::publication::Publication;
pub use self::transfer::{NewTransfer, Transfer, TransferAcceptance};
pub use self::trash::{Emptied, Restoration, Trashed, Version};
pub use self::upload::{Upload, UploadCommit, UploadProblem, UploadedFile};
pub use self::user::{
    Invitation, InvitationMade, NewInvitation, NewUser, OwnChange, OwnRemoval, Party, Registered,
    Usage, User, UserChange, UserMade,
};
