//! An event of the audit trail as a typed row, with all keys that its calls have.

#![expect(dead_code, reason = "fields are read from JSON and by nobody else: that is what is measured")]

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    event_version: String,
    user_identity: UserIdentity,
    event_time: String,
    event_source: String,
    event_name: String,
    aws_region: String,
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: String,
    user_agent: String,
    error_code: Option<String>,
    error_message: Option<String>,
    request_parameters: Option<RequestParameters>,
    response_elements: Option<ResponseElements>,
    additional_event_data: Option<AdditionalEventData>,
    #[serde(rename = "requestID")]
    request_id: String,
    #[serde(rename = "eventID")]
    event_id: String,
    read_only: bool,
    resources: Option<Vec<Resource>>,
    event_type: String,
    management_event: bool,
    recipient_account_id: String,
    event_category: String,
    tls_details: Option<TlsDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserIdentity {
    r#type: String,
    principal_id: Option<String>,
    arn: Option<String>,
    account_id: Option<String>,
    access_key_id: Option<String>,
    user_name: Option<String>,
    invoked_by: Option<String>,
    session_context: Option<SessionContext>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionContext {
    session_issuer: SessionIssuer,
    web_id_federation_data: Nothing,
    attributes: SessionAttributes,
    #[serde(rename = "ec2RoleDelivery")]
    role_delivery: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionIssuer {
    r#type: Option<String>,
    principal_id: Option<String>,
    arn: Option<String>,
    account_id: Option<String>,
    user_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionAttributes {
    creation_date: String,
    mfa_authenticated: String,
}

/// An object that is empty in all pages.
#[derive(Deserialize)]
struct Nothing {}

/// A list as the interface of EC2 wraps it: `{}` where it is empty.
#[derive(Deserialize)]
struct Set<T> {
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestParameters {
    route_table_id_set: Option<Set<RouteTable>>,
    filter_set: Option<Set<Filter>>,
    security_group_set: Option<Nothing>,
    security_group_id_set: Option<Set<SecurityGroup>>,
    max_results: Option<i64>,
    instances_set: Option<Set<RequestedInstance>>,
    instance_type: Option<String>,
    block_device_mapping: Option<Set<BlockDevice>>,
    monitoring: Option<Monitoring>,
    tag_specification_set: Option<Set<TagSpecification>>,
    name: Option<String>,
    parameter_filters: Option<Vec<ParameterFilter>>,
    shared: Option<bool>,
    with_decryption: Option<bool>,
    engine: Option<String>,
    engine_version: Option<String>,
    vpc: Option<bool>,
    marker: Option<String>,
    #[serde(rename = "dBInstanceIdentifier")]
    db_instance_identifier: Option<String>,
    #[serde(rename = "dBInstanceClass")]
    db_instance_class: Option<String>,
    allocated_storage: Option<i64>,
    master_username: Option<String>,
    master_user_password: Option<String>,
    publicly_accessible: Option<bool>,
    vpc_security_group_ids: Option<Vec<String>>,
    encryption_context: Option<EncryptionContext>,
    encryption_algorithm: Option<String>,
    role_name: Option<String>,
    policy_arn: Option<String>,
    role_arn: Option<String>,
    role_session_name: Option<String>,
    duration_seconds: Option<i64>,
    bucket_name: Option<String>,
    #[serde(rename = "Host")]
    host: Option<String>,
    acl: Option<String>,
    secret_id: Option<String>,
    version_id: Option<String>,
    function_name: Option<String>,
    runtime: Option<String>,
    handler: Option<String>,
    timeout: Option<i64>,
    role: Option<String>,
    code: Option<Code>,
    environment: Option<Nothing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteTable {
    route_table_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    name: String,
    value_set: Set<FilterValue>,
}

#[derive(Deserialize)]
struct FilterValue {
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityGroup {
    group_id: String,
    group_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestedInstance {
    instance_id: Option<String>,
    image_id: Option<String>,
    min_count: Option<i64>,
    max_count: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDevice {
    device_name: String,
    ebs: Volume,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    volume_size: i64,
    delete_on_termination: bool,
    encrypted: bool,
}

#[derive(Deserialize)]
struct Monitoring {
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagSpecification {
    resource_type: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct ParameterFilter {
    key: String,
    option: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
struct EncryptionContext {
    #[serde(rename = "aws:cloudtrail:arn")]
    trail_arn: String,
    #[serde(rename = "aws:s3:arn")]
    bucket_arn: String,
}

#[derive(Deserialize)]
struct Code {
    #[serde(rename = "s3Bucket")]
    bucket: String,
    #[serde(rename = "s3Key")]
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseElements {
    request_id: Option<String>,
    reservation_id: Option<String>,
    owner_id: Option<String>,
    instances_set: Option<Set<Instance>>,
    #[serde(rename = "dBInstanceIdentifier")]
    db_instance_identifier: Option<String>,
    #[serde(rename = "dBInstanceStatus")]
    db_instance_status: Option<String>,
    backup_retention_period: Option<i64>,
    #[serde(rename = "multiAZ")]
    multi_az: Option<bool>,
    vpc_security_groups: Option<Vec<VpcSecurityGroup>>,
    #[serde(rename = "dBSubnetGroup")]
    db_subnet_group: Option<SubnetGroup>,
    credentials: Option<Credentials>,
    assumed_role_user: Option<AssumedRoleUser>,
    function_name: Option<String>,
    code_size: Option<i64>,
    state: Option<String>,
    architectures: Option<Vec<String>>,
    tracing_config: Option<TracingConfig>,
    ephemeral_storage: Option<EphemeralStorage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    instance_id: String,
    image_id: String,
    instance_state: InstanceState,
    network_interface_set: Set<NetworkInterface>,
}

#[derive(Deserialize)]
struct InstanceState {
    code: i64,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkInterface {
    network_interface_id: String,
    group_set: Set<SecurityGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VpcSecurityGroup {
    status: String,
    vpc_security_group_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubnetGroup {
    vpc_id: String,
    subnets: Vec<Subnet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnet {
    subnet_identifier: String,
    subnet_availability_zone: AvailabilityZone,
}

#[derive(Deserialize)]
struct AvailabilityZone {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    access_key_id: String,
    session_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

#[derive(Deserialize)]
struct TracingConfig {
    mode: String,
}

#[derive(Deserialize)]
struct EphemeralStorage {
    size: i64,
}

#[derive(Deserialize)]
struct AdditionalEventData {
    #[serde(rename = "SignatureVersion")]
    signature_version: String,
    #[serde(rename = "bytesTransferredIn")]
    bytes_in: f64,
    #[serde(rename = "bytesTransferredOut")]
    bytes_out: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    account_id: String,
    r#type: String,
    #[serde(rename = "ARN")]
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TlsDetails {
    tls_version: String,
    cipher_suite: String,
    client_provided_host_header: String,
}
