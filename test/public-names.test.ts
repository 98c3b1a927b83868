import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Declaration {
  readonly file: string;
  readonly name: string;
}

/** The sources of the entry points that package.json exports. */
function entryPoints(): string[] {
  const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, { types?: string }> };
  return Object.values(exports)
    .flatMap(({ types }) => types ?? [])
    .map((types) => types.replace('./dist/', 'src/').replace('.d.ts', '.ts'));
}

/** Names that a file exports from others, and where they are declared. */
function reexports(file: string): Declaration[] {
  const declarations: Declaration[] = [];
  for (const [, list, from] of read(file).matchAll(/^export (?:type )?\{([^}]*)\} from '(\.[^']*)\.js'/gm)) {
    const target = join(dirname(file), `${from}.ts`);
    for (const item of (list ?? '').split(',')) {
      const name = item.replace(/\btype\b/, '').trim();
      if (name !== '') declarations.push(...declarationsOf(target, name));
    }
  }
  return declarations;
}

const declares = (name: string) =>
  new RegExp(`^export (?:async )?(?:interface|type|class|function|const) ${name}\\b`);

/** A file declares the name itself, or has it from a file that it exports as a whole. */
function declarationsOf(file: string, name: string): Declaration[] {
  const source = read(file);
  if (source.split('\n').some((line) => declares(name).test(line))) return [{ file, name }];
  return [...source.matchAll(/^export (?:type )?\* from '(\.[^']*)\.js'/gm)].flatMap(([, from]) =>
    declarationsOf(join(dirname(file), `${from}.ts`), name),
  );
}

/** The declaration and its public members, if they have no doc comment. */
function undocumented({ file, name }: Declaration): string[] {
  const lines = read(file).split('\n');
  const at = lines.findIndex((line) => declares(name).test(line));
  const isDocumented = (line: number) => (lines[line - 1] ?? '').trimEnd().endsWith('*/');
  const missing = isDocumented(at) ? [] : [`${file}: ${name}`];
  if (!/ interface /.test(lines[at] ?? '')) return missing;
  for (let line = at + 1; line < lines.length && lines[line] !== '}'; line++) {
    const member = /^ {2}(?:readonly )?(\w+)\??[(:<]/.exec(lines[line] ?? '')?.[1];
    if (member !== undefined && !isDocumented(line)) missing.push(`${file}: ${name}.${member}`);
  }
  return missing;
}

test('every public name, and every member of a public interface, has a description', () => {
  const declarations = entryPoints().flatMap(reexports);
  expect(declarations.length).toBeGreaterThan(150);
  expect([...new Set(declarations.flatMap(undocumented))]).toEqual([]);
});
