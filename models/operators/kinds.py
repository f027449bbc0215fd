"""Kinds that the tool knows: which have no namespace, and which some rule reads."""

from __future__ import annotations

_CLUSTER_SCOPED = """
    APIService CiliumBGPClusterConfig CiliumBGPPeeringPolicy CiliumClusterwideNetworkPolicy CiliumEgressGatewayPolicy
    CiliumL2AnnouncementPolicy CiliumLoadBalancerIPPool CiliumNode CSIDriver CSINode CertificateSigningRequest
    ClusterExternalSecret ClusterGenerator ClusterInformation ClusterIssuer ClusterPolicy ClusterRole
    ClusterRoleBinding ClusterSecretStore ComponentStatus CustomResourceDefinition FlowSchema
    GatewayClass GlobalNetworkPolicy IngressClass IPPool MutatingAdmissionPolicy MutatingAdmissionPolicyBinding
    MutatingWebhookConfiguration Namespace Node NodeFeatureRule PersistentVolume PodSecurityPolicy PriorityClass
    PriorityLevelConfiguration RuntimeClass SelfSubjectAccessReview StorageClass SubjectAccessReview TokenReview
    ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration VolumeAttachment
    VolumeAttributesClass VolumeSnapshotClass VolumeSnapshotContent
"""
CLUSTER_SCOPED = frozenset(_CLUSTER_SCOPED.split())
"""Kinds without a namespace; a CustomResourceDefinition in the tree adds its own (``spec.scope: Cluster``)."""

_KNOWN = {
    "": """Binding ConfigMap Endpoints Event LimitRange List Namespace Node PersistentVolume PersistentVolumeClaim
        Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount""",
    "apps": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "autoscaling": "HorizontalPodAutoscaler",
    "batch": "CronJob Job",
    "policy": "PodDisruptionBudget PodSecurityPolicy",
    "networking.k8s.io": "Ingress IngressClass NetworkPolicy",
    "extensions": "Ingress",
    "storage.k8s.io": "CSIDriver CSINode StorageClass VolumeAttachment",
    "snapshot.storage.k8s.io": "VolumeSnapshot VolumeSnapshotClass VolumeSnapshotContent",
    "scheduling.k8s.io": "PriorityClass",
    "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "apiregistration.k8s.io": "APIService",
    "admissionregistration.k8s.io": """MutatingWebhookConfiguration ValidatingWebhookConfiguration
        ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding""",
    "coordination.k8s.io": "Lease",
    "discovery.k8s.io": "EndpointSlice",
    "gateway.networking.k8s.io": "Gateway GatewayClass GRPCRoute HTTPRoute ReferenceGrant TCPRoute TLSRoute UDPRoute",
    "traefik.io": """IngressRoute IngressRouteTCP IngressRouteUDP Middleware MiddlewareTCP ServersTransport
        ServersTransportTCP TLSOption TLSStore TraefikService""",
    "traefik.containo.us": """IngressRoute IngressRouteTCP IngressRouteUDP Middleware MiddlewareTCP ServersTransport
        ServersTransportTCP TLSOption TLSStore TraefikService""",
    "cert-manager.io": "Certificate CertificateRequest ClusterIssuer Issuer",
    "bitnami.com": "SealedSecret",
    "external-secrets.io": "ClusterSecretStore ExternalSecret SecretStore",
    "postgresql.cnpg.io": "Backup Cluster Database ImageCatalog ClusterImageCatalog Pooler ScheduledBackup",
    "postgres-operator.crunchydata.com": "PostgresCluster",
    "monitoring.coreos.com": """Alertmanager AlertmanagerConfig PodMonitor Probe Prometheus
        PrometheusAgent PrometheusRule ScrapeConfig ServiceMonitor ThanosRuler""",
    "metallb.io": "AddressPool BFDProfile BGPAdvertisement BGPPeer Community IPAddressPool L2Advertisement",
    "cilium.io": """CiliumClusterwideNetworkPolicy CiliumL2AnnouncementPolicy CiliumLoadBalancerIPPool
        CiliumNetworkPolicy""",
    "argoproj.io": "AppProject Application ApplicationSet",
    "kustomize.toolkit.fluxcd.io": "Kustomization",
    "helm.toolkit.fluxcd.io": "HelmRelease",
    "source.toolkit.fluxcd.io": "Bucket GitRepository HelmChart HelmRepository OCIRepository",
    "helm.cattle.io": "HelmChart HelmChartConfig",
    "velero.io": "Backup BackupStorageLocation Restore Schedule VolumeSnapshotLocation",
    "volsync.backube": "ReplicationDestination ReplicationSource",
    "redis.redis.opstreelabs.in": "Redis RedisCluster RedisReplication RedisSentinel",
    "databases.spotahome.com": "RedisFailover",
    "dragonflydb.io": "Dragonfly",
    "hyperspike.io": "Valkey",
}
KNOWN_KINDS = frozenset((group, kind) for group, kinds in _KNOWN.items() for kind in kinds.split())
"""(group, kind) of everything that some rule of the tool reads; the rest is counted as unknown."""
