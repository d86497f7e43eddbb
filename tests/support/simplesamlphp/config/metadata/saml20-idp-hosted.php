<?php

$idp = json_decode(file_get_contents(__DIR__ . '/../idp.json'), true);

$metadata[$idp['entity_id']] = [
    'host' => '__DEFAULT__',
    'auth' => 'people',
    'privatekey' => $idp['signing_key'] . '.key',
    'certificate' => $idp['signing_key'] . '.crt',
    'NameIDFormat' => $idp['name_id_format'],
    'saml20.sign.response' => $idp['signs_response'],
    'saml20.sign.assertion' => $idp['signs_assertion'],
    'assertion.encryption' => $idp['encrypts'],
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'validate.authnrequest' => $idp['wants_signed_requests'],
    'sign.logout' => true,
    'validate.logout' => true,
];
if ($idp['announces_next_key']) {
    $metadata[$idp['entity_id']]['new_privatekey'] = 'next.key';
    $metadata[$idp['entity_id']]['new_certificate'] = 'next.crt';
}
