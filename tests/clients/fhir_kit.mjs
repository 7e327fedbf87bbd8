// Drives a server with fhir-kit-client (https://www.npmjs.com/package/fhir-kit-client), unmodified.
// Prints one JSON line: what came of each step.
import { Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.argv[2] });
const seen = {};

const statement = await client.capabilityStatement();
seen.fhirVersion = statement.fhirVersion;

const body = { resourceType: 'Patient', name: [{ family: 'Jankowska' }], birthDate: '1988-02-29' };
const created = await client.create({ resourceType: 'Patient', body });
const id = created.id;
seen.created = created.meta.versionId;

const read = await client.read({ resourceType: 'Patient', id });
seen.read = read.name[0].family;

const updated = await client.update({ resourceType: 'Patient', id, body: { ...read, gender: 'female' } });
seen.updated = updated.meta.versionId;

const patched = await client.patch({
  resourceType: 'Patient',
  id,
  jsonPatch: [{ op: 'replace', path: '/gender', value: 'other' }],
});
seen.patched = patched.gender;

const old = await client.vread({ resourceType: 'Patient', id, version: '1' });
seen.vread = old.gender ?? 'none';

const history = await client.history({ resourceType: 'Patient', id });
seen.history = history.entry.map((entry) => entry.resource.meta.versionId);

for (let number = 0; number < 5; number += 1) {
  await client.create({ resourceType: 'Organization', body: { resourceType: 'Organization', name: `Kit ${number}` } });
}
let page = await client.search({ resourceType: 'Organization', searchParams: { name: 'Kit', _sort: 'name', _count: 2 } });
seen.search = [];
while (page) {
  seen.search.push(...page.entry.map((entry) => entry.resource.name));
  page = page.link.some((link) => link.relation === 'next') ? await client.nextPage({ bundle: page }) : null;
}

const posted = await client.search({
  resourceType: 'Organization',
  searchParams: { name: 'Kit 3' },
  options: { postSearch: true },
});
seen.postSearch = posted.entry.map((entry) => entry.resource.name);

const place = 'urn:uuid:4c1f1a3a-7a51-4b8f-9d1e-2f7b7d0f6a01';
const bundle = {
  resourceType: 'Bundle',
  type: 'transaction',
  entry: [
    { fullUrl: place, resource: body, request: { method: 'POST', url: 'Patient' } },
    {
      resource: { resourceType: 'ServiceRequest', status: 'active', intent: 'order', subject: { reference: place } },
      request: { method: 'POST', url: 'ServiceRequest' },
    },
  ],
};
const answer = await client.transaction({ body: bundle });
seen.transaction = answer.entry.map((entry) => entry.response.status.slice(0, 3));
const [, subject] = answer.entry[0].response.location.match(/(Patient\/[^/]+)/);
const referrals = await client.search({ resourceType: 'ServiceRequest', searchParams: { subject } });
seen.referred = referrals.entry.length;

const batch = await client.batch({
  body: { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `Patient/${id}` } }] },
});
seen.batch = batch.entry[0].resource.id === id;

await client.delete({ resourceType: 'Patient', id });
try {
  await client.read({ resourceType: 'Patient', id });
} catch (error) {
  seen.gone = error.response.status;
  seen.outcome = error.response.data.resourceType;
}

console.log(JSON.stringify(seen));
