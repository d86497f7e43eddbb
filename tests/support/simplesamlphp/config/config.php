<?php

// SimpleSAMLphp as an identity provider for tests: everything that differs from run to run stands in idp.json.

$idp = json_decode(file_get_contents(__DIR__ . '/idp.json'), true);

$config = [
    'baseurlpath' => $idp['base_url'] . '/',
    'certdir' => __DIR__ . '/',
    'loggingdir' => __DIR__ . '/',
    'datadir' => __DIR__ . '/data/',
    'tempdir' => __DIR__ . '/tmp',
    'metadatadir' => __DIR__ . '/metadata/',
    'attributenamemapdir' => '/usr/share/simplesamlphp/config/attributemap/',
    'secretsalt' => $idp['salt'],
    'auth.adminpassword' => $idp['salt'],
    'technicalcontact_name' => 'Nobody',
    'technicalcontact_email' => 'nobody@idp.test',
    'timezone' => 'UTC',
    'admin.checkforupdates' => false,
    'trusted.url.domains' => [],
    'showerrors' => true,
    'logging.level' => SimpleSAML\Logger::INFO,
    'logging.handler' => 'file',
    'logging.logfile' => 'idp.log',
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'session.cookie.secure' => false, // it is served by http
    'session.cookie.samesite' => null,
    'language.cookie.secure' => false,
    'language.cookie.samesite' => null,
    'session.phpsession.savepath' => __DIR__ . '/tmp',
    'store.type' => 'phpsession',
    'metadata.sources' => [['type' => 'flatfile']],
    // What an identity provider can say of a person: both kinds of NameID are offered.
    'authproc.idp' => [
        10 => [
            'class' => 'saml:AttributeNameID',
            'attribute' => 'mail',
            'Format' => 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress',
        ],
        20 => ['class' => 'saml:PersistentNameID', 'attribute' => 'uid'],
    ],
];
