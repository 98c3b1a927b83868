import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';

export interface Import {
  /** Path below the source folder, such as `consumer/consumer.ts`. */
  readonly from: string;
  /** Likewise for a file of our own, otherwise the name of the package or `node:` module. */
  readonly to: string;
  /** `type` imports are gone at run time, `dynamic` ones happen when the code comes to them. */
  readonly kind: 'static' | 'type' | 'dynamic';
}

/** The formatter puts these at the beginning of a line, where no comment can be. */
const STATIC = /^(?:import|export)\s+(type\s)?(?:[^'"`;]*?\bfrom\s+)?'([^']+)'/gm;
const DYNAMIC = /^(?!\s*(?:\*|\/\/)).*?\bimport\(\s*'([^']+)'/gm;

/** A text, which may be a program with imports of its own. */
const TEXT = /^const [A-Z_]+ = `(?:[^`\\]|\\.)*`;$/gm;

export function importsOf(from: string, text: string): Import[] {
  const source = text.replaceAll(TEXT, '');
  const target = (specifier: string) =>
    specifier.startsWith('.')
      ? posix.join(posix.dirname(from), specifier).replace(/\.js$/, '.ts')
      : specifier;
  return [
    ...[...source.matchAll(STATIC)].map((match): Import => {
      return { from, to: target(match[2] ?? ''), kind: match[1] ? 'type' : 'static' };
    }),
    ...[...source.matchAll(DYNAMIC)].map((match): Import => {
      return { from, to: target(match[1] ?? ''), kind: 'dynamic' };
    }),
  ];
}

/** All TypeScript files below `folder`, by their path below it. */
export function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

export function moduleGraph(folder: string): Import[] {
  return sourceFiles(folder).flatMap((file) => importsOf(file, readFileSync(join(folder, file), 'utf8')));
}

/** All that `start` imports, directly or through others, `start` included. */
export function reachableFrom(start: string, imports: readonly Import[]): Set<string> {
  const reached = new Set([start]);
  for (const file of reached) {
    for (const { from, to } of imports) if (from === file) reached.add(to);
  }
  return reached;
}

/** The files of one cycle, in order; undefined where there is none. */
export function findCycle(imports: readonly Import[]): string[] | undefined {
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (finished.has(file)) return undefined;
    for (const { from, to } of imports) {
      const cycle = from === file ? visit(to, [...path, file]) : undefined;
      if (cycle !== undefined) return cycle;
    }
    finished.add(file);
    return undefined;
  };
  for (const { from } of imports) {
    const cycle = visit(from, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
