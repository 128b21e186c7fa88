// A reporter for `node --test`: a line of JSON for each test that has no tests in it.
import { relative } from 'node:path'

const above = []

// What an error says, and what those in it say.
function told (error, depth = 0) {
	const inner = [...(error?.errors ?? []), error?.cause].filter(Boolean)
	const own = `${error?.message ?? error} ${error?.apiId ?? ''}`.trim()
	const rest = depth < 4 ? inner.map(one => told(one, depth + 1)) : []
	return [own, ...new Set(rest)].join(' <- ').replace(/\s+/g, ' ')
}

export default async function * report (events) {
	for await (const { type, data } of events) {
		if (type === 'test:start') {
			above.length = data.nesting
			above.push(data.name)
		}
		if (type !== 'test:pass' && type !== 'test:fail') continue
		const isFile = data.nesting === 0 && /\.test\.ts$/.test(data.name)
		if (data.details?.type === 'suite' || (isFile && type === 'test:pass')) continue
		const isSkipped = data.skip !== undefined || data.todo !== undefined
		const error = data.details?.error
		const parents = above.slice(0, data.nesting).filter(name => !/\.test\.ts$/.test(name))
		yield JSON.stringify({
			name: isFile ? relative(process.cwd(), data.name) : [...parents, data.name].join(' '),
			verdict: type === 'test:fail' ? 'fail' : isSkipped ? 'skip' : 'pass',
			seconds: (data.details?.duration_ms ?? 0) / 1000,
			why: error ? told(error.cause ?? error) : ''
		}) + '\n'
	}
}
