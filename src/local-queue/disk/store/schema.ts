/**
 * The tables of `queue.db`. docs/disk.md explains them for use with other programs.
 *
 * A message is ready if `owner` and `due` are null, handled by a process if `owner` is set, and waits for its next
 * attempt if `due` is set. `held` and `ready` of a queue are counts that each transaction keeps up to date.
 */

/** 'mill' in ASCII. */
export const APPLICATION_ID = 0x6d696c6c;

/** Raised when older code can't read the format of newer code, or vice versa. */
export const FORMAT = 2;

/** Missing in a store of an earlier version: it is added there when it is first needed. */
export const STATES_TABLE = `
CREATE TABLE IF NOT EXISTS states (  -- state that programs share, such as the progress of a schedule
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
`;

/** Added in the same way. */
export const RATES_TABLE = `
CREATE TABLE IF NOT EXISTS rates (   -- handlers that began of late, which all consumers of a queue count together
  queue TEXT NOT NULL,
  key TEXT NOT NULL,
  boot TEXT NOT NULL,                -- since when the times count
  begun TEXT NOT NULL,               -- JSON
  idle INTEGER NOT NULL,             -- when none of them counts any more, in milliseconds on the clock of that boot
  PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idle_rates ON rates (idle);
`;

/** Missing in a store of an earlier version: they are added there when it is opened. Older versions ignore them. */
export const ADDED_COLUMNS: readonly (readonly [table: string, column: string, type: string])[] = [
  ...[
    'stored',
    'settled',
    'noted_at',
    'noted_stored',
    'noted_settled',
    'earlier_at',
    'earlier_stored',
    'earlier_settled',
  ].map((column) => ['queues', column, 'INTEGER NOT NULL DEFAULT 0'] as const),
  ['owners', 'host', 'TEXT'],
  ['owners', 'since', 'INTEGER'],
  ['messages', 'taken_at', 'INTEGER'],
  ['subscribers', 'since', 'INTEGER'],
  ['subscribers', 'settled_at', 'INTEGER'],
];

export const SCHEMA = `
CREATE TABLE store (
  revision INTEGER NOT NULL,         -- raised by each change of a definition
  last_message INTEGER NOT NULL      -- the last number given to a message, as its id or as a new place
);
INSERT INTO store VALUES (0, 0);

CREATE TABLE queues (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,                  -- null: the queue was removed, and what it held is being removed
  definition TEXT NOT NULL,          -- JSON
  dead_letter_queue TEXT,            -- null: its dead letters are dropped
  owner INTEGER,                     -- whose exclusive queue this is; null: everybody's
  held INTEGER NOT NULL DEFAULT 0,   -- messages that count against the capacity: all
  ready INTEGER NOT NULL DEFAULT 0,  -- messages that can be delivered
  wants_messages INTEGER NOT NULL DEFAULT 0,  -- some process waits for messages
  wants_room INTEGER NOT NULL DEFAULT 0,      -- some process waits for room
  stored INTEGER NOT NULL DEFAULT 0,   -- messages that were ever stored in it
  settled INTEGER NOT NULL DEFAULT 0,  -- messages that consumers have taken out of it
  noted_at INTEGER NOT NULL DEFAULT 0, -- when these two were noted last, in milliseconds since 1970
  noted_stored INTEGER NOT NULL DEFAULT 0,
  noted_settled INTEGER NOT NULL DEFAULT 0,
  earlier_at INTEGER NOT NULL DEFAULT 0,      -- and the time before that
  earlier_stored INTEGER NOT NULL DEFAULT 0,
  earlier_settled INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE exchanges (
  name TEXT PRIMARY KEY,
  definition TEXT NOT NULL           -- JSON
) WITHOUT ROWID;

CREATE TABLE bindings (              -- which messages of an exchange a queue gets
  exchange TEXT NOT NULL,
  queue INTEGER NOT NULL,
  routing_key TEXT NOT NULL,         -- of a topic exchange: the pattern
  PRIMARY KEY (exchange, queue, routing_key)
) WITHOUT ROWID;

CREATE TABLE messages (
  id INTEGER PRIMARY KEY,            -- in the order in which they were stored
  queue INTEGER NOT NULL,
  rank INTEGER NOT NULL,             -- 0 to 31, the greater first: the priority, or what counts as none
  place INTEGER NOT NULL,            -- among those of its rank, the smaller first
  owner INTEGER,                     -- who handles it
  taken_at INTEGER,                  -- when the owner got it, in milliseconds since 1970; only if that has a \`since\`
  due INTEGER,                       -- when it is ready again, in milliseconds since 1970
  delayed INTEGER,                   -- when that was set
  attempt INTEGER NOT NULL DEFAULT 1,
  returns INTEGER NOT NULL DEFAULT 0,      -- how often it came back from a process that died
  redelivered INTEGER NOT NULL DEFAULT 0,  -- 1: it may have been handed out before
  message_id TEXT NOT NULL,
  content_type TEXT NOT NULL,
  headers TEXT,                      -- JSON
  properties TEXT,                   -- JSON: what few messages have
  timestamp REAL,
  priority INTEGER,                  -- as it was sent
  expires INTEGER,                   -- when it expires, in milliseconds since 1970
  checksum INTEGER NOT NULL,         -- of all from \`message_id\` on, and of the queue
  body_is_text INTEGER,              -- 1: a text that is stored as a blob, since it has the character NUL in it
  body NOT NULL                      -- a text as TEXT, bytes as BLOB
);
CREATE INDEX ready ON messages (queue, rank DESC, place) WHERE owner IS NULL AND due IS NULL;
CREATE INDEX handled ON messages (owner) WHERE owner IS NOT NULL;
CREATE INDEX due ON messages (due) WHERE due IS NOT NULL;
CREATE INDEX expiring ON messages (expires) WHERE expires IS NOT NULL AND owner IS NULL AND due IS NULL;
CREATE INDEX delayed ON messages (delayed) WHERE delayed IS NOT NULL;

CREATE TABLE owners (                -- processes that handle messages
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pid INTEGER NOT NULL,
  thread TEXT NOT NULL,              -- of that process
  started TEXT NOT NULL,             -- when the thread began, in the kernel's own unit
  namespace TEXT NOT NULL,           -- in which the numbers of the process and the thread mean something
  boot TEXT NOT NULL,                -- changes with every start of the machine
  valid_until INTEGER NOT NULL,      -- milliseconds on the clock of that boot
  gone INTEGER NOT NULL DEFAULT 0,   -- 1: what it handled is being put back
  host TEXT,                         -- the name of its machine or container
  since INTEGER                      -- when it came, in milliseconds since 1970; null: it sets no \`taken_at\`
);

CREATE TABLE subscribers (
  queue INTEGER NOT NULL,
  owner INTEGER NOT NULL,
  count INTEGER NOT NULL,
  since INTEGER,                     -- when the first of them came, in milliseconds since 1970
  settled_at INTEGER,                -- when they have handled a message last, to the second
  PRIMARY KEY (queue, owner)
) WITHOUT ROWID;
${STATES_TABLE}${RATES_TABLE}
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${FORMAT};
`;
