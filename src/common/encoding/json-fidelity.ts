/** Determines what JSON preserves of a value, without encoding it. */

/**
 * `plain`: the codec gives back the same value. `convertible`: it writes something else for a part of it, which the schema
 * may turn back. `lossy`: it loses a part of it.
 */
export type Fidelity = 'plain' | 'convertible' | 'lossy';

/** What JSON preserves of a value. */
export function jsonFidelity(value: unknown): Fidelity {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return 'plain';
    case 'number':
      return Number.isFinite(value) ? 'plain' : 'lossy';
    case 'object':
      return value === null ? 'plain' : objectFidelity(value);
    case 'bigint':
      // JSON refuses it, unless the application has defined a `toJSON`.
      return 'convertible';
    default:
      // A function or a symbol.
      return 'lossy';
  }
}

function objectFidelity(value: object): Fidelity {
  let kind: 'plain' | 'convertible' = 'plain';
  if (Array.isArray(value)) {
    for (const item of value) {
      // JSON writes null for it.
      if (item === undefined) return 'lossy';
      const itemKind = jsonFidelity(item);
      if (itemKind === 'lossy') return 'lossy';
      if (itemKind === 'convertible') kind = 'convertible';
    }
    return kind;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if ('toJSON' in value && typeof value.toJSON === 'function') return 'convertible';
  if (prototype !== Object.prototype && prototype !== null) {
    if (isEmptied(value)) return 'lossy';
    kind = 'convertible';
  }
  for (const name in value) {
    const propertyKind = jsonFidelity((value as Record<string, unknown>)[name]);
    // JSON ignores inherited properties.
    if (propertyKind === 'lossy' && Object.hasOwn(value, name)) return 'lossy';
    // Keys that the codec refuses to decode.
    if (propertyKind === 'convertible' || name === '__proto__' || name === 'constructor')
      kind = 'convertible';
  }
  return kind;
}

/** Types for which JSON writes the same value, or nearly so. */
const WRITTEN_TAGS = new Set(['[object Object]', '[object Array]', '[object Number]', '[object Boolean]']);

/**
 * Types of which JSON keeps nothing, or only an object without their content, which is not in properties: maps, sets,
 * promises, iterators, search parameters, errors, bytes.
 */
export function isEmptied(value: object): boolean {
  if (value instanceof Error || ArrayBuffer.isView(value)) return true;
  return !WRITTEN_TAGS.has(Object.prototype.toString.call(value)) && Object.keys(value).length === 0;
}
