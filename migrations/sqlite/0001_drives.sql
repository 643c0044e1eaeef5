-- Accounts -------------------------------------------------------------------

CREATE TABLE account (
    id BLOB NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    email TEXT,
    password_hash TEXT NOT NULL,
    access TEXT NOT NULL CHECK (access IN ('user', 'administrator')),
    -- Raised whenever credentials change: whatever was derived from older ones is void.
    credential_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
) WITHOUT ROWID;

-- User names and e-mail addresses share one space, so that either logs in to one account only.
CREATE TABLE account_name (
    name_key TEXT NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX account_name_account ON account_name (account_id);

-- One device's log-in; its refresh token is kept as a digest and rotates.
CREATE TABLE login (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    device TEXT NOT NULL,
    -- A refresh token has a part for the life of the log-in and one that rotates. The first
    -- with any but the newest second part means that the token was copied.
    family_digest BLOB NOT NULL UNIQUE,
    refresh_digest BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX login_account ON login (account_id);
CREATE INDEX login_last_used ON login (last_used_at);

CREATE TABLE app_password (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    secret_digest BLOB NOT NULL UNIQUE,
    -- The folder that is this password's whole world; NULL for the drive.
    root_id BLOB,
    read_only BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT
) WITHOUT ROWID;
CREATE INDEX app_password_account ON app_password (account_id);

-- Failed attempts, by digest of account name or address, for the delay that all daemons share.
CREATE TABLE login_failure (
    subject BLOB NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    last_failed_at BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    succeeded_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE invitation (
    id BLOB NOT NULL PRIMARY KEY,
    code_digest BLOB NOT NULL UNIQUE,
    created_by BLOB,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;

-- Keys of our own making, and what administrators set over the configuration.
CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Who did what to whose account, from where; rows are only ever added.
CREATE TABLE audit (
    id BLOB NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    -- Whose credential it was; NULL for the command line, and where nobody was known.
    by_id BLOB,
    -- Whose account it was done to.
    account_id BLOB,
    action TEXT NOT NULL,
    -- Names the log-in, app password, invitation, setting or job that it was done to.
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    address TEXT
) WITHOUT ROWID;
CREATE INDEX audit_by ON audit (by_id, id);
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_action ON audit (action, id);
CREATE TRIGGER audit_only_grows_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit trail only grows');
END;
CREATE TRIGGER audit_only_grows_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit trail only grows');
END;

-- Space ----------------------------------------------------------------------

-- The server's capacity in charged bytes; one row.
CREATE TABLE capacity (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    limit_bytes BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    reserved_bytes BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO capacity (id, limit_bytes, used_bytes, reserved_bytes) VALUES (1, 4611686018427387904, 0, 0);

CREATE TABLE drive (
    id BLOB NOT NULL PRIMARY KEY,
    owner_id BLOB NOT NULL UNIQUE REFERENCES account (id) ON DELETE CASCADE,
    root_id BLOB NOT NULL,
    limit_bytes BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    reserved_bytes BIGINT NOT NULL,
    file_count BIGINT NOT NULL,
    -- Files and folders below the root, and what the dead properties of all take.
    node_count BIGINT NOT NULL,
    property_bytes BIGINT NOT NULL,
    -- Rows in publication, and their bytes, which are part of used_bytes.
    publication_count BIGINT NOT NULL,
    published_bytes BIGINT NOT NULL,
    -- Rows in version and in trash that are kept, and their bytes, which are part of used_bytes too;
    -- files and folders in the trash, and what their dead properties take.
    version_count BIGINT NOT NULL,
    versions_bytes BIGINT NOT NULL,
    trash_count BIGINT NOT NULL,
    trash_bytes BIGINT NOT NULL,
    trash_nodes BIGINT NOT NULL,
    trash_property_bytes BIGINT NOT NULL,
    -- Bytes of rows in asset_content, which are part of used_bytes too.
    asset_bytes BIGINT NOT NULL,
    -- Live and expired locks alike; while it is 0 nobody looks for locks.
    lock_count BIGINT NOT NULL,
    -- Rows in access_grant and transfer, or more: receivers' accounts may have gone. While it is 0
    -- nobody looks for them.
    share_count BIGINT NOT NULL,
    -- Number of the newest row in "change", and of the newest one that was forgotten.
    change_number BIGINT NOT NULL,
    change_floor BIGINT NOT NULL,
    created_at BIGINT NOT NULL
) WITHOUT ROWID;

-- Bytes promised to a running upload. Its daemon extends expires_at while it lives; NULL where a row
-- of upload refers to it.
CREATE TABLE reservation (
    id BLOB NOT NULL PRIMARY KEY,
    drive_id BLOB NOT NULL REFERENCES drive (id) ON DELETE CASCADE,
    size_bytes BIGINT NOT NULL,
    expires_at BIGINT
) WITHOUT ROWID;
CREATE INDEX reservation_drive ON reservation (drive_id);
CREATE INDEX reservation_expires ON reservation (expires_at);

-- Content --------------------------------------------------------------------

-- Immutable bytes, named by their SHA-256. Small ones live here, others in the blob store.
-- A rowid table, so that data is appended instead of scattered by digest.
CREATE TABLE blob (
    digest BLOB NOT NULL PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    reference_count BIGINT NOT NULL,
    -- When the count last became, or was found to be, 0.
    unreferenced_at BIGINT,
    data BLOB
);
CREATE INDEX blob_unreferenced ON blob (unreferenced_at) WHERE unreferenced_at IS NOT NULL;

-- The ordered chunks of one file version that is longer than one blob.
CREATE TABLE manifest (
    id BLOB NOT NULL PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    reference_count BIGINT NOT NULL,
    chunks BLOB NOT NULL
);

-- Content that anyone may have who knows its digest, as long as its drive is there. Each row refers
-- to the blob of that digest, which then is one file whatever its length. Without a foreign key to
-- the drive: the references of a drive that was removed are dropped in the background.
CREATE TABLE publication (
    digest BLOB NOT NULL,
    drive_id BLOB NOT NULL,
    size_bytes BIGINT NOT NULL,
    published_at BIGINT NOT NULL,
    PRIMARY KEY (digest, drive_id)
) WITHOUT ROWID;
CREATE INDEX publication_drive ON publication (drive_id, published_at, digest);

-- Uploads --------------------------------------------------------------------

-- An upload that several requests bring. Without foreign keys: what it refers to is dropped in the
-- background, also when its account or the drive it goes to is removed. Then expires_at is 0.
CREATE TABLE upload (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    -- As whom it was begun: paths of that caller, and the grant that led to the drive.
    drive_id BLOB NOT NULL,
    root_id BLOB NOT NULL,
    grant_id BLOB,
    -- Where the file is to be: a path from root_id, or a name in this folder.
    folder_id BLOB,
    path TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    -- What is kept: the chunks, then the tail, which is shorter than the longest chunk.
    offset_bytes BIGINT NOT NULL,
    chunk_count BIGINT NOT NULL,
    -- State of the hash of all chunks.
    hash_state BLOB,
    tail BLOB,
    -- Raised by each request that brings bytes; only the newest may write down how far it is.
    turn BIGINT NOT NULL,
    -- Digest of the content, once all of it has come.
    sha256 BLOB,
    -- What the client said at the beginning; conditions and metadata in its own words.
    promised BLOB,
    modified_ns BIGINT,
    metadata TEXT NOT NULL,
    if_match TEXT,
    if_none_match TEXT,
    reservation_id BLOB,
    -- The file that it has become.
    node_id BLOB,
    etag TEXT,
    is_created BIGINT NOT NULL,
    -- Why it has not.
    failure_code TEXT,
    failure TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX upload_account ON upload (account_id, id);
CREATE INDEX upload_drive ON upload (drive_id);
CREATE INDEX upload_expires ON upload (expires_at);

-- Each row is a reference to its blob.
CREATE TABLE upload_chunk (
    upload_id BLOB NOT NULL,
    number BIGINT NOT NULL,
    digest BLOB NOT NULL,
    size_bytes BIGINT NOT NULL,
    -- Whether nobody had the blob before.
    is_new BIGINT NOT NULL,
    PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;

-- Tree -----------------------------------------------------------------------

CREATE TABLE node (
    id BLOB NOT NULL PRIMARY KEY,
    drive_id BLOB NOT NULL,
    -- 1 folder, 2 file.
    kind BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    -- A file's strong validator: digest of its content, or of its manifest (docs/STORAGE.md).
    tag BLOB,
    sha256 BLOB,
    -- SHA-1, MD5 and Adler-32, where the client that sent this content wanted them compared.
    -- Here and not with the blob: nobody may learn that others have sent the same bytes.
    checksums BLOB,
    -- Where the content is: neither (empty), one blob, or a manifest.
    blob_digest BLOB,
    manifest_id BLOB,
    -- A folder's validator: raised with each change of its membership.
    child_number BIGINT NOT NULL,
    -- How many names a file has; 1 also in the trash, where its root has none.
    links BIGINT NOT NULL DEFAULT 1,
    property_count BIGINT NOT NULL,
    created_ns BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    -- What a mounted drive keeps beside the content: words key=value.
    attributes TEXT
) WITHOUT ROWID;
CREATE INDEX node_unhashed ON node (id) WHERE sha256 IS NULL AND manifest_id IS NOT NULL;

-- Without foreign keys: two look-ups for each row double the time of a large copy. Whoever holds
-- the drive keeps entries and nodes together, `cofferd check` looks whether they are.
CREATE TABLE entry (
    parent_id BLOB NOT NULL,
    -- The name in Unicode normalisation form C, by which it is looked up.
    name_nfc TEXT NOT NULL,
    -- The name as it was first given.
    name TEXT NOT NULL,
    -- The name by which it is searched for, without regard to case; NULL where that is name_nfc.
    name_folded TEXT,
    node_id BLOB NOT NULL,
    PRIMARY KEY (parent_id, name_nfc)
) WITHOUT ROWID;
CREATE INDEX entry_node ON entry (node_id);

-- Dead properties (RFC 4918 §4).
CREATE TABLE property (
    node_id BLOB NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The whole element, as XML.
    value TEXT NOT NULL,
    PRIMARY KEY (node_id, namespace, name)
) WITHOUT ROWID;

CREATE TABLE dav_lock (
    token TEXT NOT NULL PRIMARY KEY,
    drive_id BLOB NOT NULL REFERENCES drive (id) ON DELETE CASCADE,
    node_id BLOB NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    account_id BLOB NOT NULL,
    is_exclusive BIGINT NOT NULL,
    is_deep BIGINT NOT NULL,
    owner_xml TEXT,
    timeout_s BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX dav_lock_drive ON dav_lock (drive_id);
CREATE INDEX dav_lock_node ON dav_lock (node_id);
CREATE INDEX dav_lock_expires ON dav_lock (expires_at);

-- Deleted trees. Those that are kept can be restored and are charged; the others are purged in
-- the background.
CREATE TABLE trash (
    node_id BLOB NOT NULL PRIMARY KEY REFERENCES node (id),
    drive_id BLOB NOT NULL,
    -- Where it was, from the drive's root, as people saw it.
    path TEXT NOT NULL,
    -- What the tree counted for, its root included.
    size_bytes BIGINT NOT NULL,
    file_count BIGINT NOT NULL,
    node_count BIGINT NOT NULL,
    property_bytes BIGINT NOT NULL,
    -- Whoever deleted it.
    deleted_by BLOB,
    deleted_at BIGINT NOT NULL,
    is_kept BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX trash_drive ON trash (drive_id, deleted_at, node_id) WHERE is_kept = 1;
CREATE INDEX trash_deleted ON trash (is_kept, deleted_at, node_id);

-- What files held before they were overwritten. Those that are kept can be restored and are
-- charged; the others lose their references in the background, also when their file is long gone.
CREATE TABLE version (
    id BLOB NOT NULL PRIMARY KEY,
    node_id BLOB NOT NULL,
    drive_id BLOB NOT NULL,
    -- As in node.
    size_bytes BIGINT NOT NULL,
    tag BLOB NOT NULL,
    sha256 BLOB,
    checksums BLOB,
    blob_digest BLOB,
    manifest_id BLOB,
    modified_ns BIGINT NOT NULL,
    replaced_at BIGINT NOT NULL,
    is_kept BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX version_node ON version (node_id, replaced_at, id) WHERE is_kept = 1;
CREATE INDEX version_drive ON version (drive_id, replaced_at, id) WHERE is_kept = 1;
CREATE INDEX version_replaced ON version (is_kept, replaced_at, id);

-- Sharing --------------------------------------------------------------------

-- Rights on a node for whoever had a name when they were given. The name stays as it was typed,
-- and the row, whether or not anybody has it: who exists is not told. Nothing leads from here to a
-- node that is deleted: whoever deletes a tree ends what is shared of it.
CREATE TABLE access_grant (
    id BLOB NOT NULL PRIMARY KEY,
    node_id BLOB NOT NULL,
    drive_id BLOB NOT NULL REFERENCES drive (id) ON DELETE CASCADE,
    name_typed TEXT NOT NULL,
    name_key TEXT NOT NULL,
    -- NULL for a name that nobody had, and when the receiver has left.
    account_id BLOB REFERENCES account (id) ON DELETE SET NULL,
    can_write BIGINT NOT NULL,
    -- What the receiver finds it under, and the form by which it is looked up.
    mount_name TEXT NOT NULL,
    mount_key TEXT NOT NULL,
    -- As it is searched for; NULL where that is mount_key.
    mount_folded TEXT,
    created_at BIGINT NOT NULL,
    -- The newest line of the drive's history then: what is older is not told.
    since_change BIGINT NOT NULL,
    UNIQUE (node_id, name_key)
) WITHOUT ROWID;
CREATE INDEX access_grant_drive ON access_grant (drive_id, id);
CREATE INDEX access_grant_account ON access_grant (account_id, mount_key);

-- What is offered to whoever had a name; as above, the row tells nothing of who exists.
CREATE TABLE transfer (
    id BLOB NOT NULL PRIMARY KEY,
    node_id BLOB NOT NULL,
    drive_id BLOB NOT NULL REFERENCES drive (id) ON DELETE CASCADE,
    name_typed TEXT NOT NULL,
    name_key TEXT NOT NULL,
    -- NULL for a name that nobody had, and when it was declined.
    account_id BLOB REFERENCES account (id) ON DELETE SET NULL,
    -- Whether the one who offers keeps a right to read and write.
    keeps_access BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- As of links: which name is told.
    told_parent BLOB,
    told_name TEXT,
    UNIQUE (node_id, name_key)
) WITHOUT ROWID;
CREATE INDEX transfer_drive ON transfer (drive_id, id);
CREATE INDEX transfer_account ON transfer (account_id, id);

-- What happened in a drive, in order. Paths are those at the time, from the drive's root.
CREATE TABLE change (
    drive_id BLOB NOT NULL REFERENCES drive (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    -- 1 made or changed, 2 removed, 3 a whole tree appeared, 4 a whole tree was removed.
    kind BIGINT NOT NULL,
    node_id BLOB NOT NULL,
    path TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (drive_id, number)
) WITHOUT ROWID;
CREATE INDEX change_at ON change (at);

-- Catalogue ------------------------------------------------------------------

-- The name under which an account publishes assets, which tells nothing of the account.
CREATE TABLE author (
    account_id BLOB NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    public_name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE
) WITHOUT ROWID;

-- An asset. Narrow, since a search walks many: what is long is in asset_text.
CREATE TABLE asset (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    -- Its validator: raised with each change by its authors.
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    -- The name by which it is sorted.
    name_sort TEXT NOT NULL,
    -- 2 or 3 dimensions.
    kind BIGINT NOT NULL,
    -- Of its files.
    size_bytes BIGINT NOT NULL,
    downloads BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- NULL for a draft.
    posted_at BIGINT,
    -- Whether it is posted and one of its authors is not disabled.
    is_listed BIGINT NOT NULL,
    -- From the least of its engine versions to before the end of the greatest.
    engine_low BIGINT NOT NULL,
    engine_high BIGINT NOT NULL
);
-- One for each order, with all that a filter asks for.
CREATE INDEX asset_by_downloads ON asset
    (downloads, id, number, kind, size_bytes, posted_at, engine_low, engine_high, is_listed)
    WHERE is_listed = 1;
CREATE INDEX asset_by_date ON asset
    (posted_at, id, number, kind, size_bytes, engine_low, engine_high, is_listed)
    WHERE is_listed = 1;
CREATE INDEX asset_by_name ON asset
    (name_sort, id, number, kind, size_bytes, posted_at, engine_low, engine_high, is_listed)
    WHERE is_listed = 1;

-- What filters and orders ask of a match, without the rows themselves: those of many matches lie far
-- apart, and do not stay in memory.
CREATE INDEX asset_by_number ON asset
    (number, id, kind, size_bytes, posted_at, engine_low, engine_high, is_listed, downloads,
     name_sort);

CREATE TABLE asset_text (
    number INTEGER NOT NULL PRIMARY KEY REFERENCES asset (number) ON DELETE CASCADE,
    description TEXT NOT NULL,
    -- Both one in a line.
    tags TEXT NOT NULL,
    engine_versions TEXT NOT NULL,
    -- What a search finds it by, in order, each between blanks; empty for a draft.
    words TEXT NOT NULL
);
-- The words of posted assets and their beginnings; its rowid is the asset's number. Words come
-- ready made: nothing here may part or fold them (docs/decisions/0008).
CREATE VIRTUAL TABLE asset_index USING fts5 (
    words, content='', contentless_delete=1, detail='none', tokenize="ascii tokenchars '#@^=~-'"
);

-- Engine versions that an asset runs on, from low to before high; rows of one do not touch.
CREATE TABLE asset_engine (
    number BIGINT NOT NULL REFERENCES asset (number) ON DELETE CASCADE,
    low BIGINT NOT NULL,
    high BIGINT NOT NULL,
    PRIMARY KEY (number, low)
) WITHOUT ROWID;

CREATE TABLE asset_author (
    number BIGINT NOT NULL REFERENCES asset (number) ON DELETE CASCADE,
    account_id BLOB NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (number, account_id)
) WITHOUT ROWID;
CREATE INDEX asset_author_account ON asset_author (account_id, number);

-- Who is asked to join the authors, by the public name that was typed. It stands here alike whether
-- or not somebody goes by that name; the account is theirs who did at the time.
CREATE TABLE asset_offer (
    number BIGINT NOT NULL REFERENCES asset (number) ON DELETE CASCADE,
    name_key TEXT NOT NULL,
    public_name TEXT NOT NULL,
    account_id BLOB,
    offered_at BIGINT NOT NULL,
    PRIMARY KEY (number, name_key)
) WITHOUT ROWID;
CREATE INDEX asset_offer_account ON asset_offer (account_id, number);

-- A file or an image of an asset. What was taken from its asset has no number: it is no longer
-- charged nor reachable, and its references are dropped in the background.
CREATE TABLE asset_content (
    id BLOB NOT NULL PRIMARY KEY,
    number BIGINT,
    -- Who is charged for it: whoever has sent it, or an author who has taken it over.
    drive_id BLOB NOT NULL,
    -- 1 file, 2 image.
    role BIGINT NOT NULL,
    -- A file's name in Unicode normalisation form C; an image's id.
    name TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 BLOB NOT NULL,
    blob_digest BLOB,
    manifest_id BLOB,
    -- Of an image, found in its bytes.
    media_type TEXT,
    width BIGINT,
    height BIGINT,
    UNIQUE (number, role, name)
) WITHOUT ROWID;
CREATE INDEX asset_content_drive ON asset_content (drive_id, number);
CREATE INDEX asset_content_removed ON asset_content (id) WHERE number IS NULL;

-- Links ----------------------------------------------------------------------

-- What lets whoever holds its token reach a file or folder of a drive. Deleting the node deletes the
-- row, in the same transaction; without a foreign key to it, as for entries.
CREATE TABLE share_link (
    id BLOB NOT NULL PRIMARY KEY,
    drive_id BLOB NOT NULL REFERENCES drive (id) ON DELETE CASCADE,
    node_id BLOB NOT NULL,
    token_digest BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('read', 'upload')),
    label TEXT NOT NULL,
    -- Proofs that the password is known are signed with it, so they end when it changes.
    password_hash TEXT,
    expires_at BIGINT,
    -- How many downloads there may be, and have been.
    downloads_most BIGINT,
    downloads_done BIGINT NOT NULL,
    created_by BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    -- Which of the names of a file with several is told, as long as it has that: its entry.
    told_parent BLOB,
    told_name TEXT
) WITHOUT ROWID;
CREATE INDEX share_link_drive ON share_link (drive_id, id);
CREATE INDEX share_link_node ON share_link (node_id);
CREATE INDEX share_link_expires ON share_link (expires_at) WHERE expires_at IS NOT NULL;

-- A download under way from a link whose downloads are limited. Its daemon extends expires_at while
-- it lives.
CREATE TABLE link_download (
    id BLOB NOT NULL PRIMARY KEY,
    link_id BLOB NOT NULL REFERENCES share_link (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX link_download_link ON link_download (link_id);
CREATE INDEX link_download_expires ON link_download (expires_at);

-- What an administrator may look at.
CREATE VIEW accounts AS
SELECT a.id AS id, a.email AS email, a.username AS username, a.password_hash AS password,
       COALESCE(d.used_bytes, 0) AS space, a.created_at AS "create", a.access AS access
FROM account a LEFT JOIN drive d ON d.owner_id = a.id;
