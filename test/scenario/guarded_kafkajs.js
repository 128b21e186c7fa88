// Run by guarded_clients.py: kafkajs signs in.  Prints a line a test.
// "keys" writes a key set and tokens: one as it should be, one of another key, one without any.
'use strict'
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')

const base64url = (data) => Buffer.from(data).toString('base64url')

function makeKeys(keySetFile, tokensFile, iss, aud) {
  const sign = (key, alg) => {
    const claims = { iss, aud, sub: 'boss', exp: Math.floor(Date.now() / 1000) + 600 }
    const text = [{ alg, kid: 'one' }, claims].map((it) => base64url(JSON.stringify(it))).join('.')
    return `${text}.${key ? base64url(crypto.sign('sha256', Buffer.from(text), key)) : ''}`
  }
  const [own, other] = [1, 2].map(() => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }))
  const key = { ...own.publicKey.export({ format: 'jwk' }), kid: 'one' }
  fs.writeFileSync(keySetFile, JSON.stringify({ keys: [key] }))
  const tokens = {
    right: sign(own.privateKey, 'RS256'), other: sign(other.privateKey, 'RS256'),
    unsigned: sign(null, 'none'),
  }
  fs.writeFileSync(tokensFile, JSON.stringify(tokens), { mode: 0o600 })
}

async function test(sentence, run) {
  try {
    await run()
    console.log(`ok ${sentence}`)
  } catch (error) {
    console.log(`not ok ${sentence}: ${String(error.message).replace(/\s+/g, ' ')}`)
  }
}

async function main() {
  const { Kafka, logLevel } = require(`${process.env.MODULES}/kafkajs`)
  const told = JSON.parse(fs.readFileSync(process.env.BROKER))
  const ca = [fs.readFileSync(told.ca)]
  const topic = 'of-kafkajs'

  // Writes a record and asks for the end of its partition, as whom `options` say.
  const use = async (options) => {
    const kafka = new Kafka({
      clientId: 'scenario', brokers: [told.broker], logLevel: logLevel.NOTHING,
      retry: { retries: 3 }, connectionTimeout: 20000, authenticationTimeout: 20000, ...options,
    })
    const [admin, producer] = [kafka.admin(), kafka.producer()]
    try {
      await admin.connect()
      await producer.connect()
      await producer.send({ topic, messages: [{ value: 'x' }] })
      return Number((await admin.fetchTopicOffsets(topic))[0].high)
    } finally {
      await producer.disconnect()
      await admin.disconnect()
    }
  }
  const password = (mechanism, secret = told.password) => ({
    sasl: { mechanism, username: told.user, password: secret },
  })
  const token = (value) => ({
    sasl: { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value }) },
  })

  let records = 0
  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512']) {
    for (const [how, ssl] of [['in the clear', undefined], ['over TLS', { ca }]])
      await test(`kafkajs signs in with ${mechanism}, ${how}`, async () => {
        assert.strictEqual(await use({ ssl, ...password(mechanism) }), ++records)
      })
    await test(`kafkajs is refused with another password, ${mechanism}`, async () => {
      await assert.rejects(use(password(mechanism, 'not-it')), /[Aa]uthentication/)
    })
  }
  await test('kafkajs signs in with a token', async () => {
    assert.strictEqual(await use({ ssl: { ca }, ...token(told.tokens.right) }), ++records)
  })
  for (const which of ['other', 'unsigned'])
    await test(`kafkajs is refused with a token that is not right (${which})`, async () => {
      await assert.rejects(use({ ssl: { ca }, ...token(told.tokens[which]) }), /[Aa]uthentication/)
    })
  await test('kafkajs is known by its certificate', async () => {
    const [key, cert] = [fs.readFileSync(told.key), fs.readFileSync(told.certificate)]
    assert.strictEqual(await use({ ssl: { ca, key, cert } }), ++records)
  })
  await test('kafkajs does not believe a server of some other authority', async () => {
    const others = [fs.readFileSync(told.other)]
    await assert.rejects(use({ ssl: { ca: others }, ...password('plain') }), /certificate/)
  })
}

if (process.argv[2] === 'keys')
  makeKeys(...process.argv.slice(3))
else
  main().catch((error) => {
    console.error(error)
    process.exit(1)
  })
