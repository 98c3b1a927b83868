/**
 * Writes the API reference from the comments of the sources, one page for each public name, for every entry point that
 * the package exports. Rejects if a public name has no comment, or a comment links to nothing.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Application, Converter, ReflectionKind } from 'typedoc';

const root = new URL('../../', import.meta.url);
const path = (name) => fileURLToPath(new URL(name, root));

/** The source of each entry point, by the name that it is imported by. */
function entryPoints() {
  const { name, exports } = JSON.parse(readFileSync(path('package.json'), 'utf8'));
  return Object.entries(exports).flatMap(([subpath, { types }]) =>
    types === undefined
      ? []
      : [[name + subpath.slice(1), path(types.replace('./dist/', 'src/').replace('.d.ts', '.ts'))]],
  );
}

/** Writes the pages into the folder `out`. */
export async function writeReference(out) {
  const entries = entryPoints();
  const app = await Application.bootstrapWithPlugins({
    name: 'API reference',
    entryPoints: entries.map(([, file]) => file),
    tsconfig: path('tsconfig.json'),
    basePath: path('src'),
    plugin: ['typedoc-plugin-markdown'],
    readme: 'none',
    disableSources: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    outputFileStrategy: 'members',
    outputs: [{ name: 'markdown', path: out }],
    entryFileName: 'index',
    cleanOutputDir: true,
    hidePageHeader: true,
    hideBreadcrumbs: false,
    useCodeBlocks: true,
    expandObjects: true,
    expandParameters: true,
    textContentMappings: { 'title.indexPage': 'API reference', 'label.modules': 'Modules' },
    parametersFormat: 'table',
    interfacePropertiesFormat: 'list',
    tableColumnSettings: { hideModifiers: true },
    enumMembersFormat: 'table',
    typeDeclarationFormat: 'table',
    sanitizeComments: true,
    validation: { invalidLink: true, invalidPath: true, notDocumented: true, notExported: false },
    requiredToBeDocumented: ['Enum', 'Variable', 'Function', 'Class', 'Interface', 'TypeAlias'],
    treatValidationWarningsAsErrors: true,
    logLevel: 'Warn',
  });
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, ({ project }, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return;
    const file = project.files.getReflectionPath(reflection);
    const entry = entries.find(([, source]) => source === file);
    if (entry !== undefined) reflection.name = entry[0];
  });
  // The overload that most is written about comes first: the order in the source is the compiler's.
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const length = ({ comment }) => comment?.summary.reduce((sum, { text }) => sum + text.length, 0) ?? 0;
    for (const { signatures } of project.getReflectionsByKind(ReflectionKind.Function))
      signatures?.sort((one, other) => length(other) - length(one));
  });
  const project = await app.convert();
  if (project === undefined) throw new Error('the sources do not compile');
  app.validate(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings())
    throw new Error('the API reference has errors, see above');
  await app.generateOutputs(project);
}
