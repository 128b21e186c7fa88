// Run by platformatic.py.  Prints a line a test.
import assert from 'node:assert'
import crypto from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

const { Admin, Consumer, Producer } =
  await import(`${process.env.MODULES}/@platformatic/kafka/dist/index.js`)

const base = { clientId: 'scenario', bootstrapBrokers: [process.env.BROKER], retries: 5 }
const TOPIC = 'from-platformatic'
const PARTITIONS = 3
const RECORDS = 300
const PATIENCE_MS = 30000

async function test(sentence, run) {
  try {
    await run()
    console.log(`ok ${sentence}`)
  } catch (error) {
    const why = [error.message, ...(error.errors || []).map((e) => e.message)].join(' / ')
    console.log(`not ok ${sentence}: ${why.replace(/\s+/g, ' ')}`)
  }
}

async function until(condition, what) {
  const end = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    assert(Date.now() < end, `not in time: ${what}`)
    await sleep(20)
  }
}

const binary = (i) => crypto.createHash('sha256').update(`value ${i}`).digest()
const admin = new Admin(base)

async function topics() {
  await test('@platformatic/kafka creates a topic, lists and describes it', async () => {
    const [created] = await admin.createTopics({
      topics: [TOPIC], partitions: PARTITIONS, replicas: 1,
    })
    assert.strictEqual(created.name, TOPIC)
    assert.strictEqual(created.partitions, PARTITIONS)
    assert((await admin.listTopics()).includes(TOPIC))
    const metadata = await admin.metadata({ topics: [TOPIC] })
    assert.strictEqual(metadata.topics.get(TOPIC).partitionsCount, PARTITIONS)
    assert.strictEqual(metadata.brokers.size, 1)
  })
  await test('@platformatic/kafka adds partitions', async () => {
    await admin.createTopics({ topics: ['grows'], partitions: 1, replicas: 1 })
    const assignments = [1, 2, 3].map(() => ({ brokerIds: [1] })) // one a new partition
    await admin.createPartitions({ topics: [{ name: 'grows', count: 4, assignments }] })
    const metadata = await admin.metadata({ topics: ['grows'], forceUpdate: true })
    assert.strictEqual(metadata.topics.get('grows').partitionsCount, 4)
  })
}

async function produce() {
  await test('an idempotent producer writes binary values, keys and headers', async () => {
    const producer = new Producer({ ...base, idempotent: true })
    for (let first = 0; first < RECORDS; first += 50) {
      const messages = []
      for (let i = first; i < first + 50; i++)
        messages.push({
          topic: TOPIC, partition: i % PARTITIONS, key: Buffer.from(`key ${i}`),
          value: binary(i),
          headers: new Map([[Buffer.from('number'), Buffer.from(String(i))]]),
        })
      const answer = await producer.send({ messages, acks: -1 })
      assert.strictEqual(answer.offsets.length, PARTITIONS)
    }
    await producer.close()
  })
}

async function consume(groupId, mode, got, settings = {}) {
  const consumer = new Consumer({
    ...base, groupId, autocommit: false, sessionTimeout: 10000, heartbeatInterval: 500,
    rebalanceTimeout: 10000, maxWaitTime: 500, ...settings,
  })
  const stream = await consumer.consume({ topics: [TOPIC], mode, fallbackMode: 'earliest' })
  stream.on('data', (message) => got.push(message))
  return { consumer, stream }
}

async function groups() {
  const got = []
  let life
  await test('a group reads every record once, in order, as it was written', async () => {
    life = await consume('readers', 'earliest', got)
    await until(() => got.length >= RECORDS, `all records, not ${got.length}`)
    assert.strictEqual(got.length, RECORDS)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const own = got.filter((message) => message.partition === partition)
      own.forEach((message, i) => assert.strictEqual(message.offset, BigInt(i)))
    }
    for (const message of got) {
      const header = [...message.headers].find(([name]) => String(name) === 'number')
      const i = Number(String(header[1]))
      assert(message.value.equals(binary(i)))
      assert.strictEqual(String(message.key), `key ${i}`)
    }
  })
  await test('@platformatic/kafka lists and describes the group', async () => {
    const listed = await admin.listGroups()
    assert(listed.has('readers'))
    const described = await admin.describeGroups({ groups: ['readers'] })
    assert.strictEqual(described.get('readers').members.size, 1)
  })
  await test('offsets are committed, and a new life of the group goes on there', async () => {
    for (const message of got.slice(-PARTITIONS * 2))
      await message.commit()
    await life.stream.close()
    await life.consumer.close()
    const producer = new Producer(base)
    const messages = [{ topic: TOPIC, partition: 1, value: Buffer.from('one more') }]
    await producer.send({ messages, acks: -1 })
    await producer.close()
    const later = []
    life = await consume('readers', 'committed', later)
    await until(() => later.some((m) => String(m.value) === 'one more'), 'the new record')
    assert(later.length < RECORDS, 'the group began again')
  })
  await test('offsets are listed for the beginning, the end and a time', async () => {
    const latest = await life.consumer.listOffsets({ topics: [TOPIC], timestamp: -1n })
    assert.deepStrictEqual(latest.get(TOPIC), [100n, 101n, 100n])
    const earliest = await life.consumer.listOffsets({ topics: [TOPIC], timestamp: -2n })
    assert.deepStrictEqual(earliest.get(TOPIC), [0n, 0n, 0n])
    await life.stream.close()
    await life.consumer.close()
  })
  await test('an empty group can be deleted', async () => {
    await admin.deleteGroups({ groups: ['readers'] })
    assert(!(await admin.listGroups()).has('readers'))
  })
}

async function consumerGroups() {
  await test('a group of the consumer protocol reads everything, commits, goes on', async () => {
    const got = []
    const later = []
    const settings = { groupProtocol: 'consumer' }
    let life = await consume('newer', 'earliest', got, settings)
    await until(() => got.length >= RECORDS + 1, `all records, not ${got.length}`)
    for (const message of got.slice(-PARTITIONS * 2))
      await message.commit()
    assert((await admin.listGroups({ types: ['consumer'] })).has('newer'))
    await life.stream.close()
    await life.consumer.close()
    const producer = new Producer(base)
    const messages = [{ topic: TOPIC, partition: 2, value: Buffer.from('the last') }]
    await producer.send({ messages, acks: -1 })
    await producer.close()
    life = await consume('newer', 'committed', later, settings)
    await until(() => later.some((m) => String(m.value) === 'the last'), 'the new record')
    assert(later.length < RECORDS, 'the group began again')
    await life.stream.close()
    await life.consumer.close()
    await admin.deleteGroups({ groups: ['newer'] })
  })
}

await topics()
await produce()
await groups()
await consumerGroups()
await test('a topic can be deleted', async () => {
  await admin.deleteTopics({ topics: [TOPIC, 'grows'] })
  assert(!(await admin.listTopics()).includes(TOPIC))
})
await admin.close()
