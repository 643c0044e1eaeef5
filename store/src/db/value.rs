//! Values into and out of statements, alike on both engines.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use crate::attributes::Attributes;
use crate::checksums::Checksums;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::{
    AppPasswordId, AssetContentId, AssetId, AuditId, DownloadId, DriveId, GrantId, InvitationId,
    LinkId, LoginId, ManifestId, NodeId, ReservationId, TransferId, UploadId, UserId, VersionId,
};

/// One argument of a statement. `None` is a typed NULL, as PostgreSQL wants it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<Cow<'a, [u8]>>),
    /// Only where [`Tx::takes_arrays`](super::Tx::takes_arrays), as is the next.
    TextArray(Option<Vec<&'a str>>),
    BytesArray(Vec<Vec<u8>>),
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $make:expr;)*) => {$(
        impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self { $make }
        }
    )*};
}
value_from! {
    i64 => |v| Value::Int(Some(v));
    Option<i64> => |v| Value::Int(v);
    u32 => |v| Value::Int(Some(i64::from(v)));
    bool => |v| Value::Int(Some(i64::from(v)));
    &'a str => |v| Value::Text(Some(Cow::Borrowed(v)));
    &'a String => |v| Value::Text(Some(Cow::Borrowed(v)));
    String => |v| Value::Text(Some(Cow::Owned(v)));
    Option<&'a str> => |v| Value::Text(v.map(Cow::Borrowed));
    Option<String> => |v| Value::Text(v.map(Cow::Owned));
    &'a [u8] => |v| Value::Bytes(Some(Cow::Borrowed(v)));
    Vec<u8> => |v| Value::Bytes(Some(Cow::Owned(v)));
    Option<&'a [u8]> => |v| Value::Bytes(v.map(Cow::Borrowed));
    Option<Vec<u8>> => |v| Value::Bytes(v.map(Cow::Owned));
}

/// Sizes: the schema keeps them as 64-bit signed numbers.
impl<'a> From<Option<&'a Attributes>> for Value<'a> {
    fn from(value: Option<&'a Attributes>) -> Self {
        Value::Text(value.map(|value| Cow::Borrowed(value.as_str())))
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Value::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

macro_rules! bytes_value {
    ($($type:ty),*) => {$(
        impl From<$type> for Value<'_> {
            fn from(value: $type) -> Self {
                Value::Bytes(Some(Cow::Owned(value.as_bytes().to_vec())))
            }
        }
        impl From<Option<$type>> for Value<'_> {
            fn from(value: Option<$type>) -> Self {
                Value::Bytes(value.map(|value| Cow::Owned(value.as_bytes().to_vec())))
            }
        }
        impl Column for $type {
            fn read(row: &Row<'_>, index: usize) -> Result<Self> {
                Self::try_from(row.bytes(index)?).map_err(|_| Error::malformed(stringify!($type)))
            }
        }
        impl Column for Option<$type> {
            fn read(row: &Row<'_>, index: usize) -> Result<Self> {
                row.optional_bytes(index)?
                    .map(|bytes| <$type>::try_from(bytes).map_err(|_| Error::malformed(stringify!($type))))
                    .transpose()
            }
        }
    )*};
}
bytes_value!(
    AppPasswordId,
    AssetContentId,
    AssetId,
    AuditId,
    Checksums,
    Digest,
    DownloadId,
    DriveId,
    GrantId,
    InvitationId,
    LinkId,
    LoginId,
    ManifestId,
    NodeId,
    ReservationId,
    TransferId,
    UploadId,
    UserId,
    VersionId
);

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Int(Some(value)) => ValueRef::Integer(*value),
            Value::Text(Some(value)) => ValueRef::Text(value.as_bytes()),
            Value::Bytes(Some(value)) => ValueRef::Blob(value),
            Value::Int(None) | Value::Text(None) | Value::Bytes(None) => ValueRef::Null,
            Value::TextArray(_) | Value::BytesArray(_) => {
                let reason = "an array is no argument of SQLite's";
                return Err(rusqlite::Error::ToSqlConversionFailure(reason.into()));
            }
        }))
    }
}

/// A PostgreSQL query with its arguments bound.
pub(super) fn bind<'q>(
    sql: &'static str,
    args: &'q [Value<'_>],
) -> Query<'q, sqlx::Postgres, PgArguments> {
    args.iter().fold(sqlx::query(sql), |query, arg| match arg {
        Value::Int(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.as_deref()),
        Value::Bytes(value) => query.bind(value.as_deref()),
        Value::TextArray(values) => query.bind(values.as_ref()),
        Value::BytesArray(values) => query.bind(values),
    })
}

/// A PostgreSQL query whose arguments are arrays, one for each column of `rows`.
pub(super) fn bind_columns<'q>(
    sql: &'static str,
    rows: &'q [Vec<Value<'_>>],
) -> Query<'q, sqlx::Postgres, PgArguments> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).fold(sqlx::query(sql), |query, column| {
        let cells = rows.iter().map(|row| &row[column]);
        match &rows[0][column] {
            Value::Int(_) => query.bind(
                cells
                    .map(|cell| {
                        if let Value::Int(value) = cell {
                            *value
                        } else {
                            None
                        }
                    })
                    .collect::<Vec<Option<i64>>>(),
            ),
            Value::Text(_) => query.bind(
                cells
                    .map(|cell| {
                        if let Value::Text(value) = cell {
                            value.as_deref()
                        } else {
                            None
                        }
                    })
                    .collect::<Vec<Option<&str>>>(),
            ),
            Value::TextArray(_) | Value::BytesArray(_) => unreachable!("a cell is no array"),
            Value::Bytes(_) => query.bind(
                cells
                    .map(|cell| {
                        if let Value::Bytes(value) = cell {
                            value.as_deref()
                        } else {
                            None
                        }
                    })
                    .collect::<Vec<Option<&[u8]>>>(),
            ),
        }
    })
}

/// One row of a result.
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r PgRow),
}

impl Row<'_> {
    /// The value of a column, counted from 0.
    pub fn get<T: Column>(&self, index: usize) -> Result<T> {
        T::read(self, index)
    }

    /// Text, without copying.
    pub fn text(&self, index: usize) -> Result<&str> {
        match self {
            Row::Sqlite(row) => row
                .get_ref(index)?
                .as_str()
                .map_err(|_| Error::malformed("text expected")),
            Row::Postgres(row) => Ok(row.try_get::<&str, _>(index)?),
        }
    }

    /// Bytes, without copying.
    pub fn bytes(&self, index: usize) -> Result<&[u8]> {
        self.optional_bytes(index)?
            .ok_or_else(|| Error::malformed("bytes expected"))
    }

    /// Text or NULL, without copying.
    pub fn optional_text(&self, index: usize) -> Result<Option<&str>> {
        match self {
            Row::Sqlite(row) => row
                .get_ref(index)?
                .as_str_or_null()
                .map_err(|_| Error::malformed("text expected")),
            Row::Postgres(row) => Ok(row.try_get::<Option<&str>, _>(index)?),
        }
    }

    /// Bytes or NULL, without copying.
    pub fn optional_bytes(&self, index: usize) -> Result<Option<&[u8]>> {
        match self {
            Row::Sqlite(row) => row
                .get_ref(index)?
                .as_blob_or_null()
                .map_err(|_| Error::malformed("bytes expected")),
            Row::Postgres(row) => Ok(row.try_get::<Option<&[u8]>, _>(index)?),
        }
    }
}

/// A type that a column can be read as.
pub(crate) trait Column: Sized {
    fn read(row: &Row<'_>, index: usize) -> Result<Self>;
}

macro_rules! plain_column {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn read(row: &Row<'_>, index: usize) -> Result<Self> {
                match row {
                    Row::Sqlite(row) => Ok(row.get(index)?),
                    Row::Postgres(row) => Ok(row.try_get(index)?),
                }
            }
        }
    )*};
}
plain_column!(
    Option<i64>,
    String,
    Option<String>,
    Vec<u8>,
    Option<Vec<u8>>
);

impl Column for Option<Attributes> {
    fn read(row: &Row<'_>, index: usize) -> Result<Self> {
        Ok(row.optional_text(index)?.map(Attributes::kept))
    }
}

impl Column for u64 {
    fn read(row: &Row<'_>, index: usize) -> Result<Self> {
        u64::try_from(row.get::<i64>(index)?).map_err(|_| Error::malformed("negative size"))
    }
}

impl Column for u32 {
    fn read(row: &Row<'_>, index: usize) -> Result<Self> {
        u32::try_from(row.get::<i64>(index)?).map_err(|_| Error::malformed("number too large"))
    }
}

impl Column for bool {
    fn read(row: &Row<'_>, index: usize) -> Result<Self> {
        Ok(row.get::<i64>(index)? != 0)
    }
}

impl Column for i64 {
    fn read(row: &Row<'_>, index: usize) -> Result<Self> {
        match row {
            Row::Sqlite(row) => Ok(row.get(index)?),
            // Literals such as `THEN 1` are 32 bits wide on PostgreSQL.
            Row::Postgres(row) => Ok(row
                .try_get::<i64, _>(index)
                .or_else(|_| row.try_get::<i32, _>(index).map(i64::from))?),
        }
    }
}
