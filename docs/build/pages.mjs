/**
 * Assembles the pages of the site in dist/pages: the pages of this folder, the examples, the documents at the root of
 * the repository, and the reference of the API. A link to a file of the repository becomes a link
 * to its page, or to the repository if package.json names one; otherwise its text remains. A link to a file that does
 * not exist fails the build.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeReference } from './reference.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const out = fileURLToPath(new URL('../dist/pages/', import.meta.url));
const repository = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).homepage?.replace(/#.*/, '');

/** Where each file of the repository that is a page has its place on the site. */
const pages = new Map([
  ['CHANGELOG.md', 'changelog.md'],
  ['CONTRIBUTING.md', 'contributing.md'],
  ['DESIGN.md', 'design.md'],
  ['SECURITY.md', 'security.md'],
  ['README.md', 'index.md'],
  ['examples/README.md', 'examples/index.md'],
]);
for (const folder of ['', 'guides/'])
  for (const name of readdirSync(join(root, 'docs', folder)).filter((file) => file.endsWith('.md')))
    pages.set(`docs/${folder}${name}`, folder + name);
for (const name of readdirSync(join(root, 'examples')))
  if (existsSync(join(root, 'examples', name, 'README.md')))
    pages.set(`examples/${name}/README.md`, `examples/${name}.md`);

const ASSET = /\.(svg|json|png)$/;

const broken = [];

/** The text of a page, with its links as they are on the site. */
function withLinks(text, source, page) {
  return text.replaceAll(/(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g, (link, image, label, target) => {
    if (/^[a-z]+:|^#|^\//.test(target)) return link;
    const [file, anchor] = target.split('#');
    const path = posix.join(posix.dirname(source), file);
    const to = anchor === undefined ? '' : `#${anchor}`;
    if (pages.has(path)) return `${image}[${label}](${between(page, pages.get(path))}${to})`;
    if (!existsSync(join(root, path))) broken.push(`${source}: ${target}`);
    if (path.startsWith('docs/') && ASSET.test(path)) return link;
    return repository === undefined ? label : `[${label}](${repository}/blob/main/${path}${to})`;
  });
}

/** The link from one page to another. */
function between(page, target) {
  const path = relative(dirname(page), target).replace(/\\/g, '/');
  return path.startsWith('.') ? path : `./${path}`;
}

function write(page, text) {
  const file = resolve(out, page);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

rmSync(out, { recursive: true, force: true });
/** Pages whose tables need the room beside them. */
const WIDE = ['docs/faults.md', 'docs/comparison.md'];
for (const [source, page] of pages) {
  if (source === 'README.md') continue;
  const text = withLinks(readFileSync(join(root, source), 'utf8'), source, page);
  write(page, WIDE.includes(source) ? `---\naside: false\n---\n${text}` : text);
}
for (const name of readdirSync(join(root, 'docs')).filter(
  (file) => ASSET.test(file) && !file.startsWith('package'),
))
  cpSync(join(root, 'docs', name), join(out, name));
cpSync(join(root, 'docs/benchmarks.json'), join(out, 'public/benchmarks.json'));
if (broken.length > 0) throw new Error(`links to files that do not exist:\n${broken.join('\n')}`);
if (!process.argv.includes('--without-reference')) await writeReference(join(out, 'reference'));
