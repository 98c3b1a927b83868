/**
 * Where LMDB's meta pages have what, the first two pages of the file. Transactions write them by turns: the newer one
 * is the state of the store. https://github.com/LMDB/lmdb, libraries/liblmdb/mdb.c, MDB_meta.
 */
export const MAGIC_AT = 24;
export const MAGIC = 0xbeefc0de;
export const VERSION_AT = 28;
export const PAGE_SIZE_AT = 48;
export const LAST_PAGE_AT = 144;
export const TRANSACTION_AT = 152;
export const META_BYTES = 160;
