/**
 * `node scripts/check-release.mjs v1.2.3`: fails unless that is the version of package.json and of package-lock.json,
 * package.json has the fields of the package page, with the repository that publishes, which npm compares with the
 * provenance, and the changelog has a section of that version, with a date and with text, and nothing left under
 * Unreleased.
 */
import { readFileSync } from 'node:fs';

const read = (/** @type {string} */ name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

const tag = process.argv[2] ?? '';
/** @type {string[]} */
const faults = [];

for (const file of ['package.json', 'package-lock.json']) {
  const { version } = JSON.parse(read(file));
  if (tag !== `v${version}`) faults.push(`the tag is '${tag}', ${file} says ${version}`);
}

const manifest = JSON.parse(read('package.json'));
for (const field of ['description', 'license', 'author', 'repository', 'homepage', 'bugs'])
  if (manifest[field] === undefined) faults.push(`package.json has no ${field}`);
const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository } = process.env;
const url = manifest.repository?.url;
if (url !== undefined && repository !== undefined && url !== `git+${server}/${repository}.git`)
  faults.push(`package.json names the repository ${url}, but ${server}/${repository} publishes`);

/** The text of each section of the changelog, by what stands in brackets in its heading. */
const sections = new Map(
  read('CHANGELOG.md')
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [heading = '', ...lines] = section.split('\n');
      return [/^\[([^\]]+)\]/.exec(heading)?.[1] ?? heading, { heading, text: lines.join('\n').trim() }];
    }),
);
const section = sections.get(tag.slice(1));
if (section === undefined) faults.push(`CHANGELOG.md has no section [${tag.slice(1)}]`);
else {
  if (!/ - \d{4}-\d{2}-\d{2}$/.test(section.heading)) faults.push(`'## ${section.heading}' has no date`);
  if (section.text === '') faults.push(`'## ${section.heading}' is empty`);
}
if (sections.get('Unreleased')?.text) faults.push('CHANGELOG.md still has changes under [Unreleased]');

for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
