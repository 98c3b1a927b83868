/** Texts that no compiler reads: links, YAML, Dockerfiles, workflows, and what a release checks. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { serviceFiles } from '../../src/cli/commands/init/service.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const list = (folder: string, ending: string) =>
  statSync(join(root, folder), { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(join(root, folder))
        .filter((name) => name.endsWith(ending))
        .map((name) => posix.join(folder, name))
    : [];

const pages = [
  ...['.', 'docs', 'docs/guides', 'examples', 'ops'].flatMap((folder) => list(folder, '.md')),
  ...readdirSync(join(root, 'examples')).flatMap((name) => list(`examples/${name}`, '.md')),
].map((path) => path.replace(/^\.\//, ''));
const init = serviceFiles('shop', '1.0.0');

/** The blocks of a language on all pages, by the page they are on. */
function blocks(language: string): [page: string, text: string][] {
  const fence = new RegExp(`^( *)\`\`\`${language}\n(.*?)^ *\`\`\``, 'gms');
  return pages.flatMap((page) =>
    [...read(page).matchAll(fence)].map(([, , text = '']) => [page, text] as [string, string]),
  );
}

/** As GitHub makes the anchor of a heading. */
function anchorOf(heading: string): string {
  const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
  return plain
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

test('each link of a page leads to a file, and to a heading of it', () => {
  const broken: string[] = [];
  for (const page of pages) {
    const text = read(page)
      .replaceAll(/^ *```[\s\S]*?^ *```/gm, '')
      .replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[()[\]]/g, ''));
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? page : posix.join(posix.dirname(page), file);
      if (!existsSync(join(root, path))) broken.push(`${page}: ${target}`);
      else if (anchor !== undefined && path.endsWith('.md')) {
        const headings = [
          ...read(path)
            .replaceAll(/^ *```[\s\S]*?^ *```/gm, '')
            .matchAll(/^#+ (.*)$/gm),
        ].map(([, heading = '']) => anchorOf(heading));
        if (!headings.includes(anchor)) broken.push(`${page}: ${target}`);
      }
    }
  }
  expect(pages.length).toBeGreaterThan(50);
  expect(broken).toEqual([]);
});

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}
interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: object;
  readonly [key: string]: unknown;
}
/** Keys of a service that the compose files here use; a misspelled one is ignored by nobody but found by nobody. */
const SERVICE_KEYS =
  /^(image|build|hostname|ports|volumes|healthcheck|restart|command|environment|depends_on|init|stop_grace_period|user|profiles|extra_hosts)$/;

const composeFiles: [string, string][] = [
  ['docker-compose.yml', read('docker-compose.yml')],
  ...list('ops', '.yaml')
    .concat(list('ops', '.yml'))
    .filter((path) => /compose/.test(path))
    .map((path) => [path, read(path)] as [string, string]),
  ['init: compose.yaml', init['compose.yaml'] as string],
  ...blocks('yaml').filter(([, text]) => /^services:/m.test(text)),
];

test.each(composeFiles)('the compose file of %s names only what it has', (_where, text) => {
  const { services, volumes = {} }: Compose = parse(text);
  for (const [name, service] of Object.entries(services)) {
    expect(
      Object.keys(service).filter((key) => !SERVICE_KEYS.test(key)),
      name,
    ).toEqual([]);
    expect(Boolean(service.image) !== Boolean(service.build), `${name}: an image or a build`).toBe(true);
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':');
      if (!/^[./]/.test(source)) expect(volumes, name).toHaveProperty(source);
    }
    const needed = service.depends_on ?? [];
    for (const other of Array.isArray(needed) ? needed : Object.keys(needed))
      expect(services, name).toHaveProperty(other);
    for (const [other, { condition }] of Object.entries(
      Array.isArray(needed) ? {} : (needed as Record<string, { condition: string }>),
    ))
      if (condition === 'service_healthy') expect(services[other], name).toHaveProperty('healthcheck');
  }
});

test('all YAML of the pages, the workflows and the forms is YAML', () => {
  const files = [
    ...list('.github/workflows', '.yml'),
    ...list('.github/ISSUE_TEMPLATE', '.yml'),
    ...list('ops', '.yml'),
    ...list('ops', '.yaml'),
  ];
  const texts: [string, string][] = [
    ...blocks('yaml'),
    ...blocks('yml'),
    ...files.map((path) => [path, read(path)] as [string, string]),
  ];
  expect(texts.length).toBeGreaterThan(8);
  for (const [where, text] of texts)
    for (const document of parseAllDocuments(text))
      expect([...document.errors, ...document.warnings], where).toEqual([]);
});

test('a pod of the guide has probes at ports that it opens, and outlives the deadline of its handlers', () => {
  const [text = ''] = blocks('yaml')
    .filter(([page]) => page === 'docs/guides/kubernetes.md')
    .map(([, each]) => each);
  const { spec } = parse(text);
  const [container] = spec.containers;
  const ports = container.ports.map(({ name }: { name: string }) => name);
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    expect(ports).toContain(container[probe].httpGet.port);
    expect(['/livez', '/readyz']).toContain(container[probe].httpGet.path);
  }
  const [, deadline = ''] = /deadlineMs: ([\d_]+)/.exec(read('docs/guides/kubernetes.md')) ?? [];
  expect(spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(Number(deadline.replace('_', '')));
});

test.each([
  ['docs/guides/docker.md', blocks('dockerfile')[0]?.[1] ?? ''],
  ['init', init.Dockerfile as string],
])('the image of %s is pinned to a line of Node, runs as no root, and starts Node itself', (_where, text) => {
  const lines = text.trim().split('\n');
  expect(lines.filter((line) => !/^(FROM|WORKDIR|COPY|RUN|ENV|USER|CMD|#)\b|^$/.test(line))).toEqual([]);
  const images = lines.filter((line) => line.startsWith('FROM'));
  expect(images.every((line) => /^FROM node:\d+-slim( AS \w+)?$/.test(line))).toBe(true);
  expect(lines.at(-2)).toBe('USER node');
  expect(lines.at(-1)).toMatch(/^CMD \["node", "dist\/\S+\.js"\]$/);
  for (const [, stage] of text.matchAll(/--from=(\w+)/g))
    expect(text).toMatch(new RegExp(`^FROM .* AS ${stage}$`, 'm'));
});

test('every action is pinned to a commit, in the workflows and in the pages', () => {
  const texts = [...list('.github/workflows', '.yml').map(read), ...blocks('yaml').map(([, text]) => text)];
  const uses = texts.flatMap((text) => [...text.matchAll(/uses: (.*)$/gm)].map(([, action = '']) => action));
  expect(uses.length).toBeGreaterThan(6);
  expect(uses.filter((action) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action))).toEqual([]);
});

describe('a release', () => {
  const { permissions, jobs } = parse(read('.github/workflows/release.yml'));
  const runs: string[] = jobs.publish.steps.flatMap(({ run }: { run?: string }) =>
    run === undefined ? [] : [run],
  );

  test('publishes last, with provenance, and may write nothing but its own identity', () => {
    expect(permissions).toEqual({ contents: 'read' });
    expect(jobs.publish.permissions).toEqual({ contents: 'read', 'id-token': 'write' });
    expect(runs.at(-1)).toBe('npm publish --provenance --access public');
    const before = runs.slice(0, -1).join('\n');
    for (const check of [
      'check-release.mjs',
      'npm test',
      'npm run check',
      'publint',
      'attw',
      'link-readme.mjs',
    ])
      expect(before).toContain(check);
    // First the repository is named, then it is checked that it is.
    for (const field of ['repository.url=', 'homepage=', 'bugs.url='])
      expect(before.indexOf(field)).toBeLessThan(before.indexOf('check-release.mjs'));
  });

  test('has a README whose links work without the other files', async () => {
    const { withAbsoluteLinks } = await import(pathToFileURL(join(root, 'scripts/link-readme.mjs')).href);
    const linked: string = withAbsoluteLinks(read('README.md'), 'https://host/owner/name', 'v1.2.3');
    const targets = [...linked.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(
      ([, target = '']) => target,
    );
    expect(targets.filter((target) => !target.startsWith('https://'))).toEqual([]);
    expect(targets).toContain('https://host/owner/name/blob/v1.2.3/docs/getting-started.md');
    expect(targets).toContain('https://host/owner/name/raw/v1.2.3/docs/start.svg');
  });

  test('is refused for a tag that is no version of this package, and while no repository is named', async () => {
    const { version, author, repository } = JSON.parse(read('package.json'));
    expect(author).toBe('the millrace authors');
    const refused = (tag: string) =>
      promisify(execFile)(process.execPath, [join(root, 'scripts/check-release.mjs'), tag]).then(
        () => '',
        ({ stderr }: { stderr: string }) => stderr,
      );
    expect(await refused('v99.0.0')).toContain(`the tag is 'v99.0.0', package.json says ${version}`);
    if (repository === undefined)
      for (const field of ['repository', 'homepage', 'bugs'])
        expect(await refused(`v${version}`)).toContain(`package.json has no ${field}\n`);
  });
});

test('Renovate gets options that it knows, and rules for packages that are there', () => {
  const { packageRules, ...options } = JSON.parse(read('renovate.json'));
  expect(Object.keys(options).sort()).toEqual(['$schema', 'constraints', 'extends', 'minimumReleaseAge']);
  const known = [
    'description',
    'matchPackageNames',
    'matchFileNames',
    'addLabels',
    'automerge',
    'groupName',
    'allowedVersions',
  ];
  const installed = ['package.json', 'docs/package.json'].flatMap((path) => {
    const { dependencies = {}, devDependencies = {}, peerDependencies = {} } = JSON.parse(read(path));
    return Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies });
  });
  for (const rule of packageRules) {
    expect(Object.keys(rule).filter((key) => !known.includes(key))).toEqual([]);
    for (const name of rule.matchPackageNames)
      expect(installed.some((each) => each === name || each.startsWith(name.replace('**', '')))).toBe(true);
  }
  const byHand = packageRules.find(({ addLabels }: { addLabels?: string[] }) =>
    addLabels?.includes('needs the contract'),
  );
  expect(byHand).toMatchObject({
    matchPackageNames: ['amqplib', '@photostructure/sqlite'],
    automerge: false,
  });
});
